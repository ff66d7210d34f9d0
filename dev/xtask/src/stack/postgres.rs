//! PostgreSQL: a primary, and a hot standby that can take over.

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

/// The user of the functions. A migration grants its permissions.
const APP_USER: &str = "cauce_app";

/// How long a server may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The user id for PostgreSQL if this program runs as root: PostgreSQL refuses to run as root.
const NOBODY: &str = "65534";

/// The names of the servers, by their initial roles.
pub(crate) const PRIMARY: &str = "postgres-primary";
const STANDBY: &str = "postgres-standby";

/// The two servers.
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
    /// `nobody` in a user namespace, which maps to root outside: no file changes its owner.
    NobodyInNamespace,
    /// `nobody`, where a container does not allow namespaces. The data folders belong to `nobody`.
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

    /// The URL of the database at `port`, for its owner.
    pub(crate) fn url(&self, port: u16) -> String {
        self.address(USER, &[port])
    }

    /// The URL of the database at several ports, for its owner. Clients connect to the primary.
    pub(crate) fn primary_url(&self, ports: &[u16]) -> String {
        format!(
            "{}&target_session_attrs=read-write",
            self.address(USER, ports)
        )
    }

    /// Like [`Postgres::primary_url`], for the functions.
    pub(crate) fn app_primary_url(&self, ports: &[u16]) -> String {
        format!(
            "{}&target_session_attrs=read-write",
            self.address(APP_USER, ports)
        )
    }

    /// The URL of the database at `port`, for the functions.
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

    /// Starts the primary. Creates an empty database the first time.
    pub(crate) fn start_primary(&self, processes: &mut Processes, port: u16) -> anyhow::Result<()> {
        let data = self.home.join("primary");
        let is_new = !data.join("PG_VERSION").exists();
        if is_new {
            self.make_data_folder(&data)?;
            let mut initdb = self.command("initdb");
            initdb
                .arg("--pgdata")
                .arg(&data)
                .arg("--pwfile")
                .arg(self.home.join("password"))
                .args(["--username", USER, "--auth", "scram-sha-256"])
                .args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
                // Enough WAL for the standby to catch up after a restart, and for pg_rewind of a
                // dead primary.
                .args(["--set", "wal_keep_size=256MB"]);
            processes.run("initdb", &mut initdb)?;
        }
        self.start(processes, PRIMARY, self.server(&data, port), port)?;
        if is_new {
            let mut createdb = self.client("createdb", port);
            processes.run("createdb", createdb.arg(DATABASE))?;
        }
        self.set_app_role_password(port)
    }

    /// Sets a password for the functions' user. On AWS it authenticates with IAM.
    fn set_app_role_password(&self, port: u16) -> anyhow::Result<()> {
        let password = &self.password;
        let statement = format!(
            "do $$ begin create role {APP_USER}; exception when duplicate_object then end $$;
            alter role {APP_USER} login password '{password}';"
        );
        let mut psql = self.client("psql", port);
        // By a pipe: process lists would show the password.
        let mut psql = psql
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args(["--dbname", DATABASE])
            // The standby may not be running yet.
            .env("PGOPTIONS", "-c synchronous_commit=local")
            .stdin(Stdio::piped())
            .spawn()?;
        let mut pipe = psql.stdin.take().context("psql has no input")?;
        pipe.write_all(statement.as_bytes())?;
        drop(pipe);
        ensure!(psql.wait()?.success(), "psql failed");
        Ok(())
    }

    /// Starts the standby and waits until it replicates. Copies the primary the first time.
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
        let server = self.standby_server(&data, port, primary_port);
        self.start(processes, STANDBY, server, port)?;
        self.enable_synchronous_commit(processes, primary_port)
    }

    /// Promotes the standby, and restarts the dead primary as its standby.
    pub(crate) fn fail_over(
        &self,
        processes: &mut Processes,
        port: u16,
        dead_port: u16,
    ) -> anyhow::Result<()> {
        let promoted = self.query(port, "select pg_promote()");
        ensure!(
            promoted.as_deref() == Some("t"),
            "the standby was not promoted"
        );
        // Removes the changes of the dead primary that it has not replicated.
        let dead = self.home.join("primary");
        let mut rewind = self.command("pg_rewind");
        rewind
            .arg("--target-pgdata")
            .arg(&dead)
            .args(["--source-server", &connection(port)])
            .args(["--write-recovery-conf", "--no-sync"])
            .env("PGPASSWORD", &self.password);
        processes.run("pg_rewind", &mut rewind)?;
        let server = self.standby_server(&dead, dead_port, port);
        processes.replace(PRIMARY, server)?;
        self.enable_synchronous_commit(processes, port)
    }

    /// The command of a server that replicates the primary.
    fn standby_server(&self, data: &Path, port: u16, primary_port: u16) -> Command {
        let mut server = self.server(data, port);
        // The password is in the environment: process lists would show an argument.
        server
            .args([
                "-c",
                &format!("primary_conninfo={}", connection(primary_port)),
            ])
            .env("PGPASSWORD", &self.password);
        server
    }

    /// Waits until the standby replicates, then makes every commit wait for the standby's WAL.
    fn enable_synchronous_commit(
        &self,
        processes: &mut Processes,
        primary_port: u16,
    ) -> anyhow::Result<()> {
        processes.wait_until("replication to the standby", READY_WITHIN, || {
            let query = "select count(*) from pg_stat_replication where state = 'streaming'";
            self.query(primary_port, query)
                .is_some_and(|count| count != "0")
        })?;
        let set = "alter system set synchronous_standby_names = '*'";
        let done = self
            .query(primary_port, set)
            .and_then(|_| self.query(primary_port, "select pg_reload_conf()"));
        done.map(|_| ())
            .context("cannot enable synchronous replication")
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
            // As on RDS: the library is loaded, and the extension is created on demand.
            .args(["-c", "shared_preload_libraries=pg_stat_statements"])
            // As in infra/database.yaml: no personal data in the log.
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
        // SIGINT is a fast shutdown: clients are disconnected, nothing is lost.
        processes.start(name, server, Signal::INT)?;
        processes.wait_until("an answer from PostgreSQL", READY_WITHIN, || {
            self.query_on(port, "postgres", "select 1").is_some()
        })
    }

    fn query(&self, port: u16, query: &str) -> Option<String> {
        self.query_on(port, DATABASE, query)
    }

    fn query_on(&self, port: u16, database: &str, query: &str) -> Option<String> {
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
        // `nobody` may not have access to our current folder.
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
