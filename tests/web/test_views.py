"""What a project is served from, and what of it is made anew when it changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.at_hand import AtHand
from pypicloud_tw.index.catalog import Rendered
from pypicloud_tw.index.manifest import public_document
from pypicloud_tw.index.manifests import Versioned
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.addresses import file_path, provenance_path
from pypicloud_tw.web.simple import render_project
from pypicloud_tw.web.views import LARGE, ProjectView, Views
from tests.web.doubles import started

ACME = project_name("acme")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_file(number: int) -> File:
    name = f"acme-1.{number}+ü.tar.gz"
    return File(
        filename=name,
        version=f"1.{number // 3}",
        key=f"acme/{number:032x}/{name}",
        size=number,
        sha256=f"{number:064x}",
        upload_time=WHEN,
        requires_python=">=3.9" if number % 2 else None,
        yanked="why" if number % 5 == 0 else None,
        provenance_key=f"acme/{number:032x}/p" if number % 7 == 0 else None,
        extra={"gpg-sig": True, "_ours": 1} if number % 11 == 0 else {},
    )


class LargeProjectTests(SynchronousTestCase):
    """Of a large project only what changed is rendered anew."""

    def setUp(self) -> None:
        self.project = Project(
            ACME,
            "Acme",
            files=tuple(make_file(number) for number in range(LARGE + 1)),
            status="deprecated",
            status_reason='use "other"',
            extra={"later": {"files": [1]}},
            serial=7,
        )

    def render(
        self, project: Project, before: ProjectView | None = None
    ) -> Rendered[ProjectView]:
        work = started(Views()(Versioned(AtHand().keep(project), "etag", WHEN), before))
        return self.successResultOf(work)

    def whole(self, project: Project) -> bytes:
        """Render all of it from the document that says all."""
        document = public_document(project, lambda f: f"../../{file_path(ACME, f)}")
        for file, told in zip(project.offered, document["files"], strict=True):
            if (path := provenance_path(ACME, file)) is not None:
                told["provenance"] = f"../../{path}"
        return render_project(document).json

    def test_the_bytes_are_those_of_the_whole(self) -> None:
        view = self.render(self.project).page
        self.assertEqual(view.page.json, self.whole(self.project))
        self.assertEqual((view.page.serial, view.page.modified), (7, WHEN))
        self.assertTrue(view.page.relative)
        self.assertIn(b"http://a/integrity/", view.page.at("http://a").json)
        for file in self.project.files:
            self.assertIs(view.file(file.sha256[:16], file.filename), file)

    def test_what_stayed_is_not_rendered_again(self) -> None:
        before = self.render(self.project).page
        first, second, *others = self.project.files
        files = (evolve(first, yanked="now"), *others, make_file(10_000))
        after = evolve(self.project, files=files, serial=8)
        view = self.render(after, before).page
        self.assertEqual(view.page.json, self.whole(after))
        self.assertEqual(view.page.serial, 8)
        for file in others:
            self.assertIs(view.fragments[id(file)], before.fragments[id(file)])
        # What is gone is forgotten, and its page as it was stays.
        self.assertNotIn(id(second), view.fragments)
        self.assertEqual(before.page.json, self.whole(self.project))

    def test_equal_files_that_were_read_again(self) -> None:
        before = self.render(self.project).page
        files = tuple(make_file(number) for number in range(LARGE + 1))
        view = self.render(evolve(self.project, files=files), before).page
        self.assertEqual(view.page.json, before.page.json)
        self.assertEqual(len(view.fragments), len(files))
        self.assertIs(view.fragments[id(files[0])].file, files[0])

    def test_a_small_project_keeps_nothing_more(self) -> None:
        small = evolve(self.project, files=self.project.files[:LARGE])
        rendered = self.render(small, self.render(self.project).page)
        self.assertEqual(rendered.page.page.json, self.whole(small))
        self.assertEqual(rendered.page.fragments, {})
        one = self.render(self.project)
        of_one = one.weight - rendered.weight
        self.assertGreater(of_one, len(one.page.page.json))

    def test_quarantine(self) -> None:
        hidden = evolve(self.project, status="quarantined")
        view = self.render(hidden, self.render(self.project).page).page
        self.assertEqual(json.loads(view.page.json)["files"], [])
        self.assertEqual(view.fragments, {})
        first = self.project.files[0]
        self.assertIsNone(view.file(first.sha256[:16], first.filename))
