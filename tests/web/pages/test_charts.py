from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.pages.charts import HEIGHT, WIDTH, bars


class ChartTests(SynchronousTestCase):
    def test_bars_stand_on_the_floor_side_by_side(self) -> None:
        chart = bars([0, 5, 10])
        self.assertEqual(chart.top, 10)
        self.assertEqual([bar.height for bar in chart.bars], [0, 60, 120])
        for bar in chart.bars:
            self.assertEqual(bar.y + bar.height, HEIGHT)
        ends = [bar.x + bar.width for bar in chart.bars]
        self.assertTrue(ends[0] < chart.bars[1].x and ends[-1] <= WIDTH)

    def test_the_uppermost_line_is_a_round_number(self) -> None:
        for number, top in [(0, 1), (1, 1), (3, 5), (6, 10), (11, 20), (5001, 10_000)]:
            self.assertEqual(bars([number]).top, top)

    def test_nothing_to_draw(self) -> None:
        self.assertEqual(bars([]).bars, ())
