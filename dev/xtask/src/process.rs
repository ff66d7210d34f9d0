//! Child processes: each with a log file. All of them are stopped when this program ends, also
//! after an error or an interrupt.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use crate::excerpt::excerpt;

/// How often a condition or a program is polled.
const POLL: Duration = Duration::from_millis(50);

/// How long a program may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// An environment variable that marks every program, and every program that these start in turn.
const MARK: &str = "CAUCE_STACK_HOME";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C and SIGTERM stop the current command and every program that was started.
pub(crate) fn listen_for_interrupts() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed);
    })?)
}

/// Whether an interrupt has asked this program to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The programs of one stack, with all their files in one folder.
pub(crate) struct Processes {
    home: PathBuf,
    daemons: Vec<Daemon>,
}

/// A program that runs until the stack stops, and the command that starts it.
struct Daemon {
    command: Command,
    running: Running,
}

struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    /// The signal that asks the program to stop.
    stop_signal: Signal,
}

impl Processes {
    /// An empty list of programs. Kills those that an earlier run could not stop.
    pub(crate) fn new(home: &Path) -> anyhow::Result<Self> {
        let logs = home.join("logs");
        if logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        fs::create_dir_all(&logs)?;
        let processes = Self {
            home: home.to_owned(),
            daemons: Vec::new(),
        };
        processes.kill_marked();
        Ok(processes)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// Starts a program that runs until the stack stops.
    pub(crate) fn start(
        &mut self,
        name: &str,
        mut command: Command,
        stop_signal: Signal,
    ) -> anyhow::Result<()> {
        let log = self.open_log(name)?;
        let running = self.spawn(name, command.stdout(log), stop_signal)?;
        self.daemons.push(Daemon { command, running });
        Ok(())
    }

    /// Runs a program to its end. Its output goes to its log.
    pub(crate) fn run(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.open_log(name)?;
        self.finish(name, command.stdout(log))
    }

    /// Like [`Processes::run`], but returns the program's standard output.
    pub(crate) fn output(&self, name: &str, command: &mut Command) -> anyhow::Result<String> {
        let path = self.home.join("logs").join(format!("{name}.out"));
        self.finish(name, command.stdout(File::create(&path)?))?;
        Ok(fs::read_to_string(path)?)
    }

    /// Like [`Processes::run`], for a program that kills others. Those in `restartable` that end
    /// meanwhile are started again.
    pub(crate) fn run_restarting(
        &mut self,
        name: &str,
        command: &mut Command,
        restartable: &[&str],
    ) -> anyhow::Result<()> {
        self.run_while(name, command, |processes| processes.restart(restartable))
    }

    /// Like [`Processes::run`], and calls `meanwhile` repeatedly while the program runs.
    pub(crate) fn run_while(
        &mut self,
        name: &str,
        command: &mut Command,
        mut meanwhile: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let running = self.spawn(name, command, Signal::TERM)?;
        running.finish(|| meanwhile(self))
    }

    /// Whether a program that should run until the stack stops has ended.
    pub(crate) fn has_ended(&mut self, name: &str) -> anyhow::Result<bool> {
        let mut daemons = self.daemons.iter_mut();
        match daemons.find(|daemon| daemon.running.name == name) {
            Some(daemon) => Ok(daemon.running.child.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Starts a program that has ended again, with another command.
    pub(crate) fn replace(&mut self, name: &str, command: Command) -> anyhow::Result<()> {
        let mut daemons = self.daemons.iter();
        let index = daemons.position(|daemon| daemon.running.name == name);
        let index = index.with_context(|| format!("{name} was never started"))?;
        let log = self.open_log(name)?;
        let daemon = &mut self.daemons[index];
        daemon.command = command;
        daemon.command.stdout(log);
        self.start_again(index)
    }

    fn finish(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.spawn(name, command, Signal::TERM)?.finish(|| Ok(()))
    }

    /// Starts the programs in `restartable` that have ended again. Returns an error if another one
    /// has ended.
    pub(crate) fn restart(&mut self, restartable: &[&str]) -> anyhow::Result<()> {
        for index in 0..self.daemons.len() {
            let running = &mut self.daemons[index].running;
            let Some(status) = running.child.try_wait()? else {
                continue;
            };
            if !restartable.contains(&running.name.as_str()) {
                bail!(running.failure_message(status));
            }
            self.start_again(index)?;
        }
        Ok(())
    }

    fn start_again(&mut self, index: usize) -> anyhow::Result<()> {
        let mut daemon = self.daemons.remove(index);
        // Also kills the programs that it had started.
        daemon.running.wait_or_kill();
        let (name, stop_signal) = (daemon.running.name.clone(), daemon.running.stop_signal);
        daemon.running = self.spawn(&name, &mut daemon.command, stop_signal)?;
        self.daemons.insert(index, daemon);
        Ok(())
    }

    /// Waits until `ready` returns true. Returns an error if a program ends, or after `limit`.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            self.check()?;
            if interrupted() {
                bail!("stopped");
            }
            if Instant::now() > deadline {
                bail!(
                    "timed out after {limit:?} waiting for {what}; the logs are in {}",
                    self.home.join("logs").display()
                );
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Waits for an interrupt. Returns an error if a program ends before.
    pub(crate) fn watch(&mut self) -> anyhow::Result<()> {
        while !interrupted() {
            self.check()?;
            sleep(POLL);
        }
        Ok(())
    }

    /// Stops all programs: signals all of them, the last started first, and then waits.
    pub(crate) fn stop(&mut self) {
        let daemons = self.daemons.iter().rev();
        daemons.for_each(|daemon| daemon.running.ask_to_stop());
        while let Some(mut daemon) = self.daemons.pop() {
            daemon.running.wait_or_kill();
        }
        self.kill_marked();
    }

    /// Opens a program's log to append to it.
    pub(crate) fn open_log(&self, name: &str) -> anyhow::Result<File> {
        let path = self.log(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.restart(&[])
    }

    fn spawn(
        &self,
        name: &str,
        command: &mut Command,
        stop_signal: Signal,
    ) -> anyhow::Result<Running> {
        // A process group of its own: Ctrl-C at the terminal reaches only this program, which then
        // stops the others in order.
        command
            .stdin(Stdio::null())
            .stderr(self.open_log(name)?)
            .env(MARK, &self.home)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        // For tests that kill a program.
        let pid = self.log(name).with_extension("pid");
        fs::write(pid, child.id().to_string())?;
        Ok(Running {
            name: name.to_owned(),
            child,
            log: self.log(name),
            stop_signal,
        })
    }

    /// Kills every program that still has our mark: those that a program started in another process
    /// group. Only on Linux; elsewhere, killing the groups must be enough.
    fn kill_marked(&self) {
        let mark = format!("{MARK}={}", self.home.display());
        let Ok(entries) = fs::read_dir("/proc") else {
            return;
        };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for pid in pids
            .filter_map(Pid::from_raw)
            .filter(|pid| *pid != getpid())
        {
            let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
            let marked = environment.is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == mark.as_bytes())
            });
            if marked {
                _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Waits for the program's end, and calls `meanwhile` repeatedly until then.
    fn finish(mut self, mut meanwhile: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            let result = if interrupted() {
                Err(anyhow!("stopped"))
            } else {
                meanwhile()
            };
            if let Err(error) = result {
                self.ask_to_stop();
                self.wait_or_kill();
                return Err(error);
            }
            sleep(POLL);
        };
        if status.success() {
            return Ok(());
        }
        bail!(self.failure_message(status))
    }

    /// Signals the program's group to stop.
    fn ask_to_stop(&self) {
        if let Some(group) = self.group() {
            _ = kill_process_group(group, self.stop_signal);
        }
    }

    /// Waits until the program has stopped, but no longer than [`STOP_WITHIN`]. Then kills the rest
    /// of its group.
    fn wait_or_kill(&mut self) {
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(POLL);
        }
        if let Some(group) = self.group() {
            _ = kill_process_group(group, Signal::KILL);
        }
        _ = self.child.wait();
    }

    /// The message about a program that failed or ended too early.
    fn failure_message(&self, status: ExitStatus) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let excerpt = excerpt(&String::from_utf8_lossy(&log));
        format!(
            "{} ended with {status}; its log is {}\n\n{excerpt}",
            self.name,
            self.log.display()
        )
    }
}
