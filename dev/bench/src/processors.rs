//! Gives one half of the processors to the database and the other half to its clients. In the cloud
//! the database has a machine of its own too, so its speed does not depend on its clients' load.

use std::{fs, process};

use tests::{Database, Stack};

use self::affinity::Processors;

/// While this exists, the database runs on one half of the processors, and this process and its
/// children on the other. It has no effect outside Linux, or with a single processor.
pub(crate) struct Partition {
    all: Processors,
    database: Vec<u32>,
}

impl Partition {
    pub(crate) async fn new(stack: &Stack) -> Self {
        let mut database = processes(&stack.database().await).await;
        database.extend(processes(&stack.standby().await).await);
        let all = affinity::all();
        let (theirs, ours) = affinity::halves(&all);
        let partition = Self { all, database };
        partition.pin(&theirs, &ours);
        partition
    }

    fn pin(&self, theirs: &Processors, ours: &Processors) {
        for id in &self.database {
            affinity::pin(*id, theirs);
        }
        affinity::pin(process::id(), ours);
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.pin(&self.all, &self.all);
    }
}

/// The server process of the database and its children. Children that it starts later inherit its
/// processors.
async fn processes(database: &Database) -> Vec<u32> {
    let rows = database.rows("select pg_backend_pid()", &[]).await;
    let backend: i32 = rows.expect("the database should answer")[0].get(0);
    let Some(server) = parent(backend.cast_unsigned()) else {
        return Vec::new();
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|id| *id == server || parent(*id) == Some(server))
        .collect()
}

/// The parent of a process. None outside Linux.
fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok()
}

#[cfg(target_os = "linux")]
mod affinity {
    use std::fs;

    use rustix::{
        process::Pid,
        thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    };

    pub(super) type Processors = CpuSet;

    /// The processors that this process may use.
    pub(super) fn all() -> Processors {
        sched_getaffinity(None).expect("Linux should report our processors")
    }

    /// Both halves. With a single processor, each half is all of them.
    pub(super) fn halves(all: &Processors) -> (Processors, Processors) {
        let each = (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor));
        let each: Vec<usize> = each.collect();
        let (first, second) = each.split_at(each.len() / 2);
        if first.is_empty() {
            return (*all, *all);
        }
        (set(first), set(second))
    }

    fn set(processors: &[usize]) -> Processors {
        let mut set = CpuSet::new();
        for processor in processors {
            set.set(*processor);
        }
        set
    }

    /// Restricts all threads of a process to some processors. The process may have ended.
    pub(super) fn pin(process: u32, processors: &Processors) {
        let threads = fs::read_dir(format!("/proc/{process}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
            if let Some(id) = id.and_then(Pid::from_raw) {
                _ = sched_setaffinity(Some(id), processors);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) type Processors = ();

    pub(super) fn all() -> Processors {}

    pub(super) fn halves(_all: &Processors) -> (Processors, Processors) {
        ((), ())
    }

    pub(super) fn pin(_process: u32, _processors: &Processors) {}
}
