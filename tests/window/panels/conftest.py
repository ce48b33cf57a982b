"""Sessions of every kind for the panels, and a window on them."""

import pytest
from PyQt6.QtCore import QSettings, QTimer

from convdebug_gui.made_session import info_of, make_session, write_run
from convdebug_sessions import Recorder

KINDS = ("empty", "full", "nan", "cut-off")


def made(path, kind):
    """A session of a kind: no rows at all, a whole sick run, NaN from step 120 on, or cut off without an end."""
    if kind == "full":
        return make_session(path, steps=500, layers=6, sick_at=396)
    with Recorder.create(path) as recorder:
        run = recorder.start_run("train", info={} if kind == "empty" else info_of(6, 400))
        if kind == "nan":
            write_run(run, 240, 6, None, bad_from=120)
            run.finish("crashed", "the loss became NaN")
        elif kind == "cut-off":
            write_run(run, 37, 6, None)
    return path


@pytest.fixture(scope="session")
def sessions(tmp_path_factory):
    """Paths of one session of each kind."""
    folder = tmp_path_factory.mktemp("sessions")
    return {kind: made(folder / f"{kind}.convdebug", kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def any_session(request, sessions):
    return sessions[request.param]


@pytest.fixture
def look(qapp, tmp_path):
    """The dark look with settings of its own."""
    from convdebug_gui import theme

    qapp.setQuitOnLastWindowClosed(False)
    look = theme.install(qapp, QSettings(str(tmp_path / "look.ini"), QSettings.Format.IniFormat))
    look.choose("dark")
    return look


@pytest.fixture
def model(look):
    from convdebug_gui.session_model import SessionModel

    model = SessionModel()
    yield model
    model.close()
    assert not [timer for timer in model.findChildren(QTimer) if timer.isActive()]
    model.deleteLater()


@pytest.fixture
def window(model, tmp_path, qapp):
    """A main window at 1440 × 900 with settings of its own."""
    from convdebug_gui.main_window import MainWindow

    window = MainWindow(model, QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    window.show()
    qapp.processEvents()
    yield window
    window.close()
    window.deleteLater()


@pytest.fixture
def settle(qapp):
    """Lets everything that is due be drawn."""

    def settle(window):
        for _round in range(12):
            qapp.processEvents()
            window.model.tick()
        window.deck.draw_all()
        qapp.processEvents()

    return settle
