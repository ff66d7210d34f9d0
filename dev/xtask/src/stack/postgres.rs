//! PostgreSQL: a primary, and a hot standby that follows it and takes over.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Signal, geteuid};

use super::secret;
use crate::{process::Processes, tools::Tools};

const USER: &str = "cauce";
const DATABASE: &str = "cauce";

/// As whom the functions connect; a migration says what it may do.
const APP_USER: &str = "cauce_app";

/// How long a server may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The user that PostgreSQL thinks it is when root starts it: it refuses to be root.
const NOBODY: &str = "65534";

/// The servers' names, which are those of their data folders too: as what each of them began.
pub(crate) const PRIMARY: &str = "postgres-primary";
const STANDBY: &str = "postgres-standby";

/// Two servers and how to reach them.
pub(crate) struct Postgres {
    programs: PathBuf,
    home: PathBuf,
    password: String,
    runs_as: RunsAs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunsAs {
    /// The user who runs this program.
    Ourselves,
    /// Nobody, in a user namespace where nobody is root outside: no file has to change its owner.
    NobodyInNamespace,
    /// Nobody outright, where containers allow no namespaces; the data is given to nobody.
    Nobody,
}

impl Postgres {
    pub(crate) fn new(tools: &Tools, home: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(home)?;
        Ok(Self {
            programs: tools.postgres()?,
            password: secret(&home.join("password"))?,
            home: home.to_owned(),
            runs_as: RunsAs::find(),
        })
    }

    /// The database's address on the server at `port`, for its owner.
    pub(crate) fn url(&self, port: u16) -> String {
        self.address(USER, &[port])
    }

    /// The same, on that one of several servers that is the primary.
    pub(crate) fn primary_url(&self, ports: &[u16]) -> String {
        format!(
            "{}&target_session_attrs=read-write",
            self.address(USER, ports)
        )
    }

    /// The same, for the functions.
    pub(crate) fn app_primary_url(&self, ports: &[u16]) -> String {
        format!(
            "{}&target_session_attrs=read-write",
            self.address(APP_USER, ports)
        )
    }

    /// The database's address on the server at `port`, for the functions.
    pub(crate) fn app_url(&self, port: u16) -> String {
        self.address(APP_USER, &[port])
    }

    fn address(&self, user: &str, ports: &[u16]) -> String {
        let password = &self.password;
        let hosts: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let hosts = hosts.join(",");
        format!("postgres://{user}:{password}@{hosts}/{DATABASE}?sslmode=disable")
    }

    /// Starts the primary, with an empty database the first time.
    pub(crate) fn start_primary(&self, processes: &mut Processes, port: u16) -> anyhow::Result<()> {
        let data = self.home.join("primary");
        let fresh = !data.join("PG_VERSION").exists();
        if fresh {
            self.make_data_folder(&data)?;
            let mut initdb = self.command("initdb");
            initdb
                .arg("--pgdata")
                .arg(&data)
                .arg("--pwfile")
                .arg(self.home.join("password"))
                .args(["--username", USER, "--auth", "scram-sha-256"])
                .args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
                // Enough for the standby to find where it left off, and for a primary that has died to
                // find where the other went on.
                .args(["--set", "wal_keep_size=256MB"]);
            processes.run("initdb", &mut initdb)?;
        }
        self.start(processes, PRIMARY, self.server(&data, port), port)?;
        if fresh {
            let mut createdb = self.client("createdb", port);
            processes.run("createdb", createdb.arg(DATABASE))?;
        }
        self.set_app_role_password(port)
    }

    /// Gives the functions' user a password, as IAM lets it in elsewhere.
    fn set_app_role_password(&self, port: u16) -> anyhow::Result<()> {
        let password = &self.password;
        let statement = format!(
            "do $$ begin create role {APP_USER}; exception when duplicate_object then end $$;
            alter role {APP_USER} login password '{password}';"
        );
        let mut psql = self.client("psql", port);
        // The statement comes by a pipe, because it shows the password.
        let mut psql = psql
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args(["--dbname", DATABASE])
            // The standby may not be there yet.
            .env("PGOPTIONS", "-c synchronous_commit=local")
            .stdin(Stdio::piped())
            .spawn()?;
        let mut pipe = psql.stdin.take().context("psql has no input")?;
        pipe.write_all(statement.as_bytes())?;
        drop(pipe);
        ensure!(psql.wait()?.success(), "psql failed");
        Ok(())
    }

    /// Starts the standby, as a copy of the primary the first time, and waits until it follows.
    pub(crate) fn start_standby(
        &self,
        processes: &mut Processes,
        port: u16,
        primary_port: u16,
    ) -> anyhow::Result<()> {
        let data = self.home.join("standby");
        if !data.join("standby.signal").exists() {
            self.make_data_folder(&data)?;
            let mut copy = self.client("pg_basebackup", primary_port);
            copy.arg("--pgdata").arg(&data).args([
                "--write-recovery-conf",
                "--checkpoint",
                "fast",
                "--no-sync",
            ]);
            processes.run("pg_basebackup", &mut copy)?;
        }
        let server = self.follower(&data, port, primary_port);
        self.start(processes, STANDBY, server, port)?;
        self.commit_at_both(processes, primary_port)
    }

    /// Has the standby take over from a primary that has died, and that one follow it.
    pub(crate) fn fail_over(
        &self,
        processes: &mut Processes,
        port: u16,
        dead_port: u16,
    ) -> anyhow::Result<()> {
        let promoted = self.asks(port, "select pg_promote()");
        ensure!(
            promoted.as_deref() == Some("t"),
            "the standby was not promoted"
        );
        // What the dead one has written and nobody else has is no part of the database any more.
        let dead = self.home.join("primary");
        let mut rewind = self.command("pg_rewind");
        rewind
            .arg("--target-pgdata")
            .arg(&dead)
            .args(["--source-server", &connection(port)])
            .args(["--write-recovery-conf", "--no-sync"])
            .env("PGPASSWORD", &self.password);
        processes.run("pg_rewind", &mut rewind)?;
        let server = self.follower(&dead, dead_port, port);
        processes.replace(PRIMARY, server)?;
        self.commit_at_both(processes, port)
    }

    /// A server that follows the primary.
    fn follower(&self, data: &Path, port: u16, primary_port: u16) -> Command {
        let mut server = self.server(data, port);
        // The password is in the environment, where no list of processes shows it.
        server
            .args([
                "-c",
                &format!("primary_conninfo={}", connection(primary_port)),
            ])
            .env("PGPASSWORD", &self.password);
        server
    }

    /// Waits until the standby follows; from then on, every commit is in both logs.
    fn commit_at_both(&self, processes: &mut Processes, primary_port: u16) -> anyhow::Result<()> {
        processes.wait_until("streaming to the standby", READY_WITHIN, || {
            let query = "select count(*) from pg_stat_replication where state = 'streaming'";
            self.asks(primary_port, query)
                .is_some_and(|count| count != "0")
        })?;
        let set = "alter system set synchronous_standby_names = '*'";
        let done = self
            .asks(primary_port, set)
            .and_then(|_| self.asks(primary_port, "select pg_reload_conf()"));
        done.map(|_| ())
            .context("the primary cannot be told to wait for the standby")
    }

    fn server(&self, data: &Path, port: u16) -> Command {
        let mut server = self.command("postgres");
        server
            .arg("-D")
            .arg(data)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=300"])
            // As RDS has it: who wants to know creates the extension.
            .args(["-c", "shared_preload_libraries=pg_stat_statements"])
            // As in infra/database.yaml: the log holds no one's data.
            .args(["-c", "log_error_verbosity=terse"])
            .args(["-c", "log_parameter_max_length=0"])
            .args(["-c", "log_parameter_max_length_on_error=0"]);
        server
    }

    fn start(
        &self,
        processes: &mut Processes,
        name: &str,
        server: Command,
        port: u16,
    ) -> anyhow::Result<()> {
        // The signal of a fast shutdown: clients are told to go, nothing is lost.
        processes.start(name, server, Signal::INT)?;
        processes.wait_until("PostgreSQL's answer", READY_WITHIN, || {
            self.asks_on(port, "postgres", "select 1").is_some()
        })
    }

    fn asks(&self, port: u16, query: &str) -> Option<String> {
        self.asks_on(port, DATABASE, query)
    }

    fn asks_on(&self, port: u16, database: &str, query: &str) -> Option<String> {
        let mut psql = self.client("psql", port);
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align"])
            .args(["--dbname", database, "--command", query]);
        let output = psql.output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn make_data_folder(&self, data: &Path) -> anyhow::Result<()> {
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        fs::create_dir_all(data)?;
        fs::set_permissions(data, fs::Permissions::from_mode(0o700))?;
        if self.runs_as == RunsAs::Nobody {
            let nobody = NOBODY.parse()?;
            std::os::unix::fs::chown(data, Some(nobody), Some(nobody))?;
            std::os::unix::fs::chown(self.home.join("password"), Some(nobody), None)?;
        }
        Ok(())
    }

    fn client(&self, program: &str, port: u16) -> Command {
        let mut command = self.command(program);
        command
            .args(["--host", "127.0.0.1", "--username", USER, "--no-password"])
            .args(["--port", &port.to_string()])
            .env("PGPASSWORD", &self.password);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.runs_as.command(&self.programs.join(program));
        // Else it runs where we do, which nobody may not be allowed to see.
        command.current_dir(&self.home);
        command
    }
}

fn connection(port: u16) -> String {
    format!("host=127.0.0.1 port={port} user={USER} dbname={DATABASE}")
}

impl RunsAs {
    fn find() -> Self {
        if !geteuid().is_root() {
            return Self::Ourselves;
        }
        let namespace = Self::NobodyInNamespace.command(Path::new("true")).output();
        if namespace.is_ok_and(|output| output.status.success()) {
            Self::NobodyInNamespace
        } else {
            Self::Nobody
        }
    }

    fn command(self, program: &Path) -> Command {
        let mut command = match self {
            Self::Ourselves => return Command::new(program),
            Self::NobodyInNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-user", NOBODY, "--map-group", NOBODY]);
                command
            }
            Self::Nobody => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
                command
            }
        };
        command.arg(program);
        command
    }
}
