//! `hanja top` as people see it: on paper, and on a terminal, which tmux plays. The latter are run by `ci/top.sh`.

use crate::harness::*;
use std::process::{Command, Stdio};
use std::time::Duration;

const SYNTH: &str = "--source=synth:?seed=1&glyphs=3&fps=10";

/// A pipeline that has found something.
fn pipeline(place: &Place) -> Running {
    let running = place.start(&["run", SYNTH, "--http=off"]);
    running.wait_for("first detection");
    running
}

#[test]
fn without_a_terminal_it_prints_one_picture_as_plain_text() {
    let place = Place::new();
    let nothing = place.output(&["top"]);
    assert!(nothing.status.success(), "{}", text(&nothing));
    let nothing = text(&nothing);
    assert!(
        nothing.contains("NOT RUNNING") && nothing.contains("hanja run"),
        "{nothing}"
    );
    let _running = pipeline(&place);
    let mut command = place.hanja(&["top", "--once"]);
    command.env("LC_ALL", "C").env("COLUMNS", "90");
    let out = command.stderr(Stdio::piped()).output().unwrap();
    let shown = text(&out);
    assert!(out.status.success() && shown.is_ascii(), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    for word in [
        "LIVE",
        "capture",
        "infer",
        "render",
        "synth:",
        "rten",
        "inference",
        "captured",
        "found now",
    ] {
        assert!(shown.contains(word), "'{word}' is missing:\n{shown}");
    }
    assert!(shown.lines().all(|l| l.len() <= 90), "{shown}");
    command.env("LC_ALL", "C.UTF-8");
    let shown = text(&command.output().unwrap());
    assert!(shown.contains("█") || shown.contains("▁"), "{shown}");
}

#[test]
fn wrong_words_are_refused() {
    let place = Place::new();
    for (flags, word) in [
        (["top", "--interval=1ms"], "50ms"),
        (["top", "--interval=soon"], "500ms"),
        (["top", "--color=blue"], "always"),
    ] {
        let out = place.output(&flags);
        assert_eq!(out.status.code(), Some(2));
        assert!(text(&out).contains(word), "{}", text(&out));
    }
}

/// A terminal with a shell in it.
struct Tmux {
    socket: std::path::PathBuf,
}

impl Tmux {
    fn start(place: &Place, columns: u16, rows: u16, environment: &[(&str, &str)]) -> Self {
        let tmux = Self {
            socket: place.path("tmux"),
        };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut command = Command::new("tmux");
        command
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR");
        command.envs(environment.iter().copied());
        command.args(["-f", "/dev/null", "-S"]).arg(&tmux.socket);
        command.args(["new-session", "-d", "-x", &columns, "-y", &rows, "sh"]);
        assert!(command.status().expect("tmux is installed").success());
        tmux.run(&["set-option", "-g", "status", "off"]);
        tmux.run(&["resize-window", "-x", &columns, "-y", &rows]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(arguments);
        let out = command.output().expect("tmux");
        assert!(out.status.success(), "tmux {arguments:?}: {}", text(&out));
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// Types a command into the shell.
    fn shell(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    fn keys(&self, keys: &[&str]) {
        let all: Vec<_> = ["send-keys"].iter().chain(keys).copied().collect();
        self.run(&all);
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen says `what`; gives it.
    fn see(&self, what: &str) -> String {
        let begin = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(what) {
                return screen;
            }
            assert!(begin.elapsed() < LONG, "'{what}' is not seen:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn resize(&self, columns: &str, rows: &str) {
        self.run(&["resize-window", "-x", columns, "-y", rows]);
    }

    /// The shell has the terminal, and it is as terminals are.
    fn assert_restored(&self) {
        // Quoted, so that what is typed is not taken for what is said.
        self.shell("clear; stty -a; echo shell 'is' back");
        let screen = self.see("shell is back\n");
        for word in ["icanon", "echo", "isig", "opost"] {
            let on = screen.split_whitespace().any(|w| w == word);
            assert!(on, "{word} is off:\n{screen}");
        }
        let state = self.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 1", "alternate screen, cursor");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        let _ = command.stderr(Stdio::null()).status();
    }
}

fn top(place: &Place, flags: &str) -> String {
    let exe = env!("CARGO_BIN_EXE_hanja");
    let dir = place.runtime_dir();
    format!("clear; {exe} top {flags} --runtime-dir {}", dir.display())
}

/// Its process.
fn process(place: &Place) -> i32 {
    until("hanja top", || {
        processes(&place.runtime_dir()).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).nth(1) == Some(b"top")
        })
    })
}

/// Waits for its end: what is typed before is the view's.
fn gone(pid: i32) {
    let place = format!("/proc/{pid}");
    until("the end of hanja top", || {
        (!std::path::Path::new(&place).exists()).then_some(())
    });
}

fn signal(pid: i32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(status.expect("kill").success());
}

#[test]
#[ignore = "needs tmux: ci/top.sh"]
fn a_person_sees_what_becomes_of_the_pipeline() {
    let place = Place::new();
    let running = pipeline(&place);
    let tmux = Tmux::start(&place, 80, 24, &[]);
    tmux.shell(&top(&place, ""));
    tmux.see(" LIVE ");
    let screen = tmux.see("ms from sensor to result");
    for word in [
        "capture",
        "infer",
        "render",
        "synth:",
        "rten",
        "inference",
        "captured",
        "q quit",
    ] {
        assert!(screen.contains(word), "'{word}' is missing:\n{screen}");
    }
    let colored = tmux.run(&["capture-pane", "-p", "-e"]);
    // Infer's colour, magenta, and the sign's: bold, reverse, green.
    assert!(colored.contains("38;5;5m"), "{colored}");
    assert!(
        colored.contains("7m") && colored.contains("38;5;2m"),
        "{colored}"
    );
    keep("live-colored", &colored);
    keep("live", &screen);

    let infer = running.stage("infer").unwrap();
    running.signal(infer, "STOP");
    keep("stopped", &tmux.see(&format!("kill -CONT {infer}")));
    assert!(tmux.screen().contains(" STALE "));
    running.signal(infer, "CONT");
    tmux.see(" LIVE ");

    running.signal(running.stage("render").unwrap(), "KILL");
    keep("restarted", &tmux.see("render was started again"));
    tmux.see(" LIVE ");

    tmux.keys(&["Space"]);
    tmux.see(" PAUSED ");
    tmux.keys(&["Space"]);
    tmux.keys(&["2"]);
    keep("infer", &tmux.see("not tensorrt"));
    tmux.keys(&["?"]);
    tmux.see("Ctrl-L");
    tmux.keys(&["Escape"]);
    tmux.see("not tensorrt");
    tmux.keys(&["Escape"]);
    tmux.see("found now");

    for (columns, rows) in [("40", "10"), ("10", "2"), ("120", "40"), ("80", "24")] {
        tmux.resize(columns, rows);
        let name = format!("{columns}x{rows}");
        // The line of keys, or the sign, stands where it belongs at this size.
        until("a picture of the new size", || {
            let screen = tmux.screen();
            let lines: Vec<_> = screen.lines().collect();
            let keys = rows == "2" || lines.last().is_some_and(|l| l.starts_with(" q quit"));
            (keys && lines.len() <= rows.parse().unwrap() && lines[0].contains("LIVE"))
                .then_some(())
        });
        keep(&name, &tmux.screen());
    }
    let pid = process(&place);
    tmux.keys(&["q"]);
    gone(pid);
    tmux.assert_restored();
}

/// For people to look at: `HANJA_KEEP_SCREENS=DIR`.
fn keep(name: &str, screen: &str) {
    if let Some(dir) = std::env::var_os("HANJA_KEEP_SCREENS") {
        let path = std::path::Path::new(&dir).join(format!("{name}.txt"));
        std::fs::write(path, screen).expect("the directory is there");
    }
}

#[test]
#[ignore = "needs tmux: ci/top.sh"]
fn it_waits_for_a_pipeline_that_ends_and_comes_back() {
    let place = Place::new();
    let tmux = Tmux::start(&place, 80, 24, &[("NO_COLOR", "1")]);
    tmux.shell(&top(&place, "--interval 200ms"));
    tmux.see(" NOT RUNNING ");
    let mut running = pipeline(&place);
    tmux.see(" LIVE ");
    let mono = tmux.run(&["capture-pane", "-p", "-e"]);
    assert!(mono.contains("7m"), "reverse remains: {mono}");
    for code in (30..39).chain(40..49).chain(90..98) {
        let found = mono.contains(&format!("\u{1b}[{code};"))
            || mono.contains(&format!("\u{1b}[{code}m"))
            || mono.contains(&format!(";{code}m"));
        assert!(!found, "colour {code}: {mono:?}");
    }
    keep("mono", &tmux.screen());
    running.signal(running.pid(), "TERM");
    assert!(running.wait(LONG).success());
    tmux.see(" NOT RUNNING ");
    let _again = pipeline(&place);
    tmux.see(" LIVE ");
    // Told to go, it leaves the terminal as it was.
    let pid = process(&place);
    signal(pid, "TERM");
    gone(pid);
    tmux.assert_restored();
}

#[test]
#[ignore = "needs tmux: ci/top.sh"]
fn it_can_be_put_aside_and_does_not_outlive_its_terminal() {
    let place = Place::new();
    let tmux = Tmux::start(&place, 80, 24, &[("LC_ALL", "C"), ("LC_CTYPE", "C")]);
    tmux.shell(&top(&place, ""));
    let screen = tmux.see(" NOT RUNNING ");
    assert!(screen.is_ascii(), "{screen}");
    tmux.keys(&["C-z"]);
    tmux.see("Stopped"); // what is typed before is the view's
    tmux.assert_restored();
    tmux.shell("fg");
    tmux.see(" NOT RUNNING ");
    process(&place);
    tmux.run(&["kill-server"]);
    // Not even the command line is left: one that nobody waits for may stay in the list of processes.
    until("the end of hanja top", || {
        processes(&place.runtime_dir()).is_empty().then_some(())
    });
}

/// Over a slow line: what changes is sent, and nothing else.
#[test]
#[ignore = "needs tmux: ci/top.sh"]
fn little_is_sent() {
    let place = Place::new();
    let _running = pipeline(&place);
    let tmux = Tmux::start(&place, 80, 24, &[]);
    tmux.shell(&top(&place, ""));
    tmux.see(" LIVE ");
    let log = place.path("sent");
    tmux.run(&["pipe-pane", &format!("cat > {}", log.display())]);
    let seconds = 5;
    std::thread::sleep(Duration::from_secs(seconds));
    let sent = std::fs::metadata(&log).expect("the log").len();
    println!("{} bytes a second", sent / seconds);
    assert!(
        sent > 0 && sent / seconds < 4000,
        "{} bytes a second",
        sent / seconds
    );
}
