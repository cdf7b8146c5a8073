"""The process around the service."""

import gc

from app.wiring import spare_the_collector


def test_what_was_loaded_at_start_is_not_looked_at_by_the_garbage_collector() -> None:
    loaded, thresholds = len(gc.get_objects()), gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > 0
        assert len(gc.get_objects()) < loaded / 10
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
