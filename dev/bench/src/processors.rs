//! Who works where: the database has one half of the processors, and its clients the other. In the cloud it is a
//! machine of its own, too, and what it can do does not depend on what is done beside it.

use std::{fs, process};

use self::affinity::Processors;
use tests::{Database, Stack};

/// Until this is dropped, the database has its own half of the processors, and what is started here the other.
/// Only Linux can do that, and only where there are two.
pub(super) struct Apart {
    all: Processors,
    database: Vec<u32>,
}

impl Apart {
    pub(super) async fn new(stack: &Stack) -> Self {
        let mut database = processes(&stack.database().await).await;
        database.extend(processes(&stack.standby().await).await);
        let all = affinity::all();
        let (theirs, ours) = affinity::halves(&all);
        let apart = Self { all, database };
        apart.keep_to(&theirs, &ours);
        apart
    }

    fn keep_to(&self, theirs: &Processors, ours: &Processors) {
        for id in &self.database {
            affinity::keep_to(*id, theirs);
        }
        affinity::keep_to(process::id(), ours);
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.keep_to(&self.all, &self.all);
    }
}

/// The server of a connection, and all that it has started; what it starts later keeps to the same processors.
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

/// Who has started a process. Only Linux tells.
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

    /// Those that we may use.
    pub(super) fn all() -> Processors {
        sched_getaffinity(None).expect("Linux should tell our processors")
    }

    /// One half of them, and the other; all and all, if there is only one.
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

    /// Has a process, with all its threads, keep to some processors. It may be gone.
    pub(super) fn keep_to(process: u32, processors: &Processors) {
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

    pub(super) fn keep_to(_process: u32, _processors: &Processors) {}
}
