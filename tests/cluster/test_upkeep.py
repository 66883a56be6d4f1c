from pathlib import Path

from cluster.executors.local import LocalExecutor
from cluster.upkeep import CLOCK_SECONDS, SNAPSHOT_RECORDS, STOP_FILE, TICK_SECONDS
from tests.cluster import searches


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_done_more_often_than_the_period(tmp_path: Path) -> None:
    clock, calls = Clock(), []
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path, clock=clock, on_tick=(lambda: calls.append(1),))
    for _ in range(20):
        driver.tick()
        clock.now += TICK_SECONDS / 10
    assert len(calls) == 2


def test_a_stop_file_interrupts(tmp_path: Path) -> None:
    clock = Clock()
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path, clock=clock)
    assert driver.tick() is None
    (tmp_path / STOP_FILE).touch()
    assert driver.tick() is None
    clock.now += TICK_SECONDS
    halt = driver.tick()
    assert halt is not None and halt.value == "interrupted"


def test_active_time_is_written_down_and_summed_over_resumes(tmp_path: Path) -> None:
    clock = Clock()
    for run in range(3):
        driver, _, journal, _ = searches.make_driver(searches.config(), tmp_path, clock=clock)
        for _ in range(4):
            clock.now += CLOCK_SECONDS
            driver.tick()
        assert driver.upkeep.seconds == 4 * CLOCK_SECONDS * (run + 1)
        journal.close()
        # Nobody counts while no driver runs.
        clock.now += 1000.0
    assert [record.fields["seconds"] for record in searches.records(tmp_path, "clock")][-1] == 12 * CLOCK_SECONDS


def test_snapshots_are_saved_when_the_journal_has_doubled(tmp_path: Path) -> None:
    search = searches.config("plain", budget={"trials": 300, "epochs": 1})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    offsets = sorted(int(path.stem) for path in (tmp_path / "snapshots").glob("*.json"))
    # Four records a trial; the newest two are kept.
    assert offsets == [2 * SNAPSHOT_RECORDS, 4 * SNAPSHOT_RECORDS]


def test_a_snapshot_is_saved_after_a_minute_of_controller_time(tmp_path: Path) -> None:
    driver, controller, _, _ = searches.make_driver(searches.config(), tmp_path)
    driver.upkeep.spent(59.0)
    driver.upkeep.save_snapshot(controller)
    assert not (tmp_path / "snapshots").exists()
    driver.upkeep.spent(1.0)
    driver.upkeep.save_snapshot(controller)
    assert len(list((tmp_path / "snapshots").glob("*.json"))) == 1
