"""The commands of projects: what there is, and every act, on the store or a server."""
