//! One supervised stage: spawn, forward its log with its name in front, restart with back-off, stop.

use super::notify::Notice;
use crate::stage::HANDED;
use anyhow::Context;
use hanja_record::StageName;
use hanja_stage::EXIT_CONFIG;
use hanja_stage::config::{Config, ConfigError};
use hanja_stage::process::{SUPERVISED, describe};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The first restart comes at once: most crashes are one-off, and every 100 ms are three frames.
const BACK_OFF: [Duration; 6] = [
    Duration::from_millis(20),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// A stage that ran this long starts again from the first back-off.
const HEALTHY: Duration = Duration::from_secs(10);

/// Why the pipeline should end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Capture reached the end of its source.
    Source,
    /// A stage cannot start; its own last line says why.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Child {
    stage: StageName,
    arguments: [OsString; 2],
    environment: Vec<(&'static str, OsString)>,
    stdin: bool,
    process: Option<std::process::Child>,
    log: Option<JoinHandle<String>>,
    /// Was ready in any life: its configuration is good, so a failure now is worth a retry; unless its exit status says
    /// otherwise.
    proven: bool,
    started: Instant,
    respawn_at: Option<Instant>,
    failures: usize,
    restarts: u32,
}

impl Child {
    /// The stage gets the whole configuration as it stands here, at every restart the same, in its environment: that is
    /// read by this user's processes alone (it holds a token), nobody can change it, and nothing is left behind. As it
    /// gets no `--config`, there is nothing that SIGHUP would read again.
    pub(super) fn new(
        stage: StageName,
        config: &Config,
        runtime_dir: &Path,
        notify: &Path,
    ) -> Result<Self, ConfigError> {
        let mut directory = OsString::from("--runtime-dir=");
        directory.push(runtime_dir);
        let environment = vec![
            ("NOTIFY_SOCKET", notify.into()),
            (SUPERVISED, std::process::id().to_string().into()),
            (HANDED, config.to_toml()?.into()),
        ];
        let stdin = stage == StageName::Capture && config.capture.source.starts_with("y4m:-");
        let started = Instant::now();
        Ok(Self {
            stage,
            arguments: [stage.name().into(), directory],
            environment,
            stdin,
            process: None,
            log: None,
            proven: false,
            started,
            respawn_at: None,
            failures: 0,
            restarts: 0,
        })
    }

    pub(super) fn stage(&self) -> StageName {
        self.stage
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(super) fn spawn(&mut self) -> anyhow::Result<()> {
        let exe = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(exe);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(if self.stdin {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C reaches the supervisor alone, which then stops the stages in order.
            .process_group(0);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.stage.name()))?;
        let stderr = process.stderr.take();
        let prefix = self.stage.name();
        self.log = stderr.map(|pipe| std::thread::spawn(move || forward(pipe, prefix)));
        self.process = Some(process);
        self.started = Instant::now();
        self.respawn_at = None;
        Ok(())
    }

    pub(super) fn noticed(&mut self, notice: &Notice) {
        if notice.ready {
            self.proven = true;
        }
        // Later ones come every second.
        if let Some(status) = notice.status.as_ref().filter(|_| notice.ready) {
            super::say(&format!("{:8}| {status}", self.stage.name()));
        }
    }

    /// Looks after the process: collects it if it ended, starts it again when its time has come.
    pub(super) fn check(&mut self) -> anyhow::Result<Option<Ended>> {
        if let Some(at) = self.respawn_at {
            if Instant::now() >= at {
                self.restarts += 1;
                self.spawn()?;
            }
            return Ok(None);
        }
        let Some(process) = &mut self.process else {
            return Ok(None);
        };
        let Some(status) = process.try_wait()? else {
            return Ok(None);
        };
        self.process = None;
        let last_line = self
            .log
            .take()
            .and_then(|t| t.join().ok())
            .unwrap_or_default();
        if status.success() && self.stage == StageName::Capture {
            return Ok(Some(Ended::Source));
        }
        let hopeless = status.code() == Some(EXIT_CONFIG.into());
        if hopeless || (!self.proven && status.code().is_some()) {
            // It said why and gave up by itself; again would be the same.
            let why = last_line
                .strip_prefix("hanja: ")
                .unwrap_or(&last_line)
                .to_owned();
            return Ok(Some(Ended::Failed(why)));
        }
        if self.started.elapsed() > HEALTHY {
            self.failures = 0;
        }
        let pause = BACK_OFF[self.failures.min(BACK_OFF.len() - 1)];
        self.failures += 1;
        let how = describe(status);
        super::say(&format!(
            "{} {how}; starting it again in {pause:?}",
            self.stage.name()
        ));
        self.respawn_at = Some(Instant::now() + pause);
        Ok(None)
    }

    /// Asks the process to end.
    pub(super) fn terminate(&mut self) {
        self.respawn_at = None;
        if let Some(process) = &self.process {
            let pid = rustix::process::Pid::from_child(process);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Whether the process is still there.
    pub(super) fn running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|p| matches!(p.try_wait(), Ok(None)))
    }

    /// Makes sure it is gone, however it feels about it, and its log is out.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            if matches!(process.try_wait(), Ok(None)) {
                super::say(&format!("{} does not end: killing it", self.stage.name()));
                let _ = process.kill();
            }
            let _ = process.wait();
        }
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a child's log line by line; returns the last line.
fn forward(pipe: impl Read, prefix: &str) -> String {
    let mut last = String::new();
    // `take` bounds a line, so that a child gone mad cannot fill our memory.
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(64 << 10).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let _ = writeln!(std::io::stderr().lock(), "{prefix:8}| {text}");
        text.clone_into(&mut last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::handed;

    /// Every key, none with its default.
    const EVERY_KEY: &str = r#"
        log = "debug"
        [capture]
        source = "synth:?fps=7"
        [infer]
        model = "m.onnx"
        backend = "rten"
        conf = 0.3
        iou = 0.1
        agnostic = false
        size = 320
        coarse_size = 64
        verify = false
        threads = 2
        engine = "m.engine"
        engine_cache = "/var/cache/engines"
        precision = "fp32"
        [render]
        http = "off"
        token = "secret"
    "#;

    fn arrives(config: &Config, stage: StageName) -> Config {
        let (dir, notify) = (Path::new("/run/x"), Path::new("/run/x/n"));
        let child = Child::new(stage, config, dir, notify).unwrap();
        assert_eq!(
            child.arguments,
            [stage.name(), "--runtime-dir=/run/x"],
            "ps shows no secret"
        );
        let mut set = child.environment.iter();
        let text = set.find(|(name, _)| *name == HANDED);
        handed(text.map(|(_, text)| text.clone()))
            .expect("handed over")
            .unwrap()
    }

    #[test]
    fn every_key_arrives_at_every_stage() {
        let config = Config::from_toml(EVERY_KEY, Path::new("x")).unwrap();
        let default = Config::default();
        for stage in StageName::ALL {
            let arrived = arrives(&config, stage);
            for table in StageName::ALL.map(StageName::name) {
                let sent = config.settings(table);
                assert_eq!(arrived.settings(table).len(), sent.len());
                for (n, setting) in sent.iter().enumerate() {
                    let key = &setting.key;
                    assert_eq!(&arrived.settings(table)[n], setting, "{key}");
                    assert_ne!(&default.settings(table)[n], setting, "{key} is not above");
                }
            }
            assert_eq!(arrived, config, "{}", stage.name());
            assert_eq!(arrives(&default, stage), default);
        }
        assert!(handed(None).is_none());
        assert!(handed(Some("[infer]\nnew = 1".into())).unwrap().is_err());
    }
}
