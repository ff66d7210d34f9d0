//! Programs: started with a log file each, watched, and stopped, all of them, however this one ends.

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

/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(50);

/// How long a program may take to stop before it is killed.
const FAREWELL: Duration = Duration::from_secs(15);

/// Marks the environment of every program, and so of every program that one starts in turn.
const MARK: &str = "CAUCE_STACK_HOME";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets Ctrl-C and a request to terminate end what is under way, and everything that was started.
pub(crate) fn listen_for_interrupts() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed);
    })?)
}

/// Whether the person at the keyboard wants to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The programs of one stack, whose files are all in one folder.
pub(crate) struct Processes {
    home: PathBuf,
    kept: Vec<Kept>,
}

/// A program that is to run until everything stops, and how it is started.
struct Kept {
    command: Command,
    running: Running,
}

struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    farewell: Signal,
}

impl Processes {
    /// No programs yet; what an earlier run could not stop is stopped now.
    pub(crate) fn new(home: &Path) -> anyhow::Result<Self> {
        let logs = home.join("logs");
        if logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        fs::create_dir_all(&logs)?;
        let processes = Self {
            home: home.to_owned(),
            kept: Vec::new(),
        };
        processes.kill_marked();
        Ok(processes)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// Starts a program that is to run until everything stops. `farewell` is the signal that asks it
    /// to stop.
    pub(crate) fn start(
        &mut self,
        name: &str,
        mut command: Command,
        farewell: Signal,
    ) -> anyhow::Result<()> {
        let log = self.open_log(name)?;
        let running = self.spawn(name, command.stdout(log), farewell)?;
        self.kept.push(Kept { command, running });
        Ok(())
    }

    /// Runs a program to its end; its output goes to its log.
    pub(crate) fn run(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.open_log(name)?;
        self.finish(name, command.stdout(log))
    }

    /// As [`Processes::run`], and gives what the program wrote to standard output.
    pub(crate) fn output(&self, name: &str, command: &mut Command) -> anyhow::Result<String> {
        let path = self.home.join("logs").join(format!("{name}.out"));
        self.finish(name, command.stdout(File::create(&path)?))?;
        Ok(fs::read_to_string(path)?)
    }

    /// As [`Processes::run`], for a program that kills others: those of `restartable` that end
    /// meanwhile are started again.
    pub(crate) fn run_restarting(
        &mut self,
        name: &str,
        command: &mut Command,
        restartable: &[&str],
    ) -> anyhow::Result<()> {
        self.run_watching(name, command, |processes| processes.restart(restartable))
    }

    /// As [`Processes::run`], while something looks after the others, again and again.
    pub(crate) fn run_watching(
        &mut self,
        name: &str,
        command: &mut Command,
        mut meanwhile: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let running = self.spawn(name, command, Signal::TERM)?;
        running.finish(|| meanwhile(self))
    }

    /// Whether a program has ended that was to run until everything stops.
    pub(crate) fn has_ended(&mut self, name: &str) -> anyhow::Result<bool> {
        let mut kept = self
            .kept
            .iter_mut()
            .filter(|kept| kept.running.name == name);
        match kept.next() {
            Some(kept) => Ok(kept.running.child.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Starts a program that has ended again, in another way.
    pub(crate) fn replace(&mut self, name: &str, command: Command) -> anyhow::Result<()> {
        let place = self.kept.iter().position(|kept| kept.running.name == name);
        let place = place.with_context(|| format!("{name} was never started"))?;
        let log = self.open_log(name)?;
        let kept = &mut self.kept[place];
        kept.command = command;
        kept.command.stdout(log);
        self.start_again(place)
    }

    fn finish(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.spawn(name, command, Signal::TERM)?.finish(|| Ok(()))
    }

    /// Starts those of `restartable` again that have ended; that another has ended is an error.
    pub(crate) fn restart(&mut self, restartable: &[&str]) -> anyhow::Result<()> {
        for place in 0..self.kept.len() {
            let running = &mut self.kept[place].running;
            let Some(status) = running.child.try_wait()? else {
                continue;
            };
            if !restartable.contains(&running.name.as_str()) {
                bail!(running.failure_message(status));
            }
            self.start_again(place)?;
        }
        Ok(())
    }

    fn start_again(&mut self, place: usize) -> anyhow::Result<()> {
        let mut kept = self.kept.remove(place);
        // What it had started does not outlive it.
        kept.running.see_stopped();
        let (name, farewell) = (kept.running.name.clone(), kept.running.farewell);
        kept.running = self.spawn(&name, &mut kept.command, farewell)?;
        self.kept.insert(place, kept);
        Ok(())
    }

    /// Waits until `ready`, as long as every program runs.
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
                    "{what} did not come about within {limit:?}; the logs are in {}",
                    self.home.join("logs").display()
                );
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Waits until an interrupt, or until a program ends by itself, which is an error.
    pub(crate) fn watch(&mut self) -> anyhow::Result<()> {
        while !interrupted() {
            self.check()?;
            sleep(POLL);
        }
        Ok(())
    }

    /// Stops all programs: all are asked at once, the last started first.
    pub(crate) fn stop(&mut self) {
        let kept = self.kept.iter().rev();
        kept.for_each(|kept| kept.running.ask_to_stop());
        while let Some(mut kept) = self.kept.pop() {
            kept.running.see_stopped();
        }
        self.kill_marked();
    }

    /// A program's log, to be written on.
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
        farewell: Signal,
    ) -> anyhow::Result<Running> {
        // A group of its own: Ctrl-C at the terminal reaches this program alone, which then stops
        // the others in order.
        command
            .stdin(Stdio::null())
            .stderr(self.open_log(name)?)
            .env(MARK, &self.home)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        // For tests that end a program.
        let pid = self.log(name).with_extension("pid");
        fs::write(pid, child.id().to_string())?;
        Ok(Running {
            name: name.to_owned(),
            child,
            log: self.log(name),
            farewell,
        })
    }

    /// Kills what still carries our mark: programs that a program started in a group of their own.
    /// Only Linux tells; elsewhere the groups must do.
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

    /// Waits for the program's end, and does something `meanwhile`, again and again.
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
                self.see_stopped();
                return Err(error);
            }
            sleep(POLL);
        };
        if status.success() {
            return Ok(());
        }
        bail!(self.failure_message(status))
    }

    /// Asks the program, and all it has started, to stop.
    fn ask_to_stop(&self) {
        if let Some(group) = self.group() {
            _ = kill_process_group(group, self.farewell);
        }
    }

    /// Waits until the program has stopped; kills it if it takes too long, and what it leaves behind.
    fn see_stopped(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(POLL);
        }
        if let Some(group) = self.group() {
            _ = kill_process_group(group, Signal::KILL);
        }
        _ = self.child.wait();
    }

    /// What to tell about a program that ended when it should not have.
    fn failure_message(&self, status: ExitStatus) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let shown = excerpt(&String::from_utf8_lossy(&log));
        format!(
            "{} ended with {status}; its log is {}\n\n{shown}",
            self.name,
            self.log.display()
        )
    }
}
