//! One connection to a database file: how it is opened, what it may do, and for how long.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reef_capability::Failure;
use rusqlite::{
    Connection, OpenFlags,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
};

use super::{File, values::failure};
use crate::{
    error::{Result, SqlError},
    session::Limits,
};

/// Steps of SQLite's machine between two looks at the clock: some tens of microseconds.
const STEPS: i32 = 1000;
/// The log's size in bytes that is kept after it was written back.
const LOG: i64 = 16 << 20;
/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;

/// Settings of SQLite that may be read.
const READABLE: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "collation_list",
    "compile_options",
    "data_version",
    "defer_foreign_keys",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "journal_mode",
    "max_page_count",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "recursive_triggers",
    "schema_version",
    "synchronous",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];
/// Those whose value says what is to be read.
const ASKING: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Those that may be set and belong to the database.
const OF_DATABASE: &[&str] = &["application_id", "optimize", "user_version"];
/// Those that may be set and belong to the connection.
const OF_CONNECTION: &[&str] = &["defer_foreign_keys", "foreign_keys", "recursive_triggers"];

/// An open connection.
pub(crate) struct Kept {
    pub(crate) connection: Connection,
    pub(crate) watch: Arc<Watch>,
    size: u64,
}

/// What ends a statement, and what its session left behind.
#[derive(Default)]
pub(crate) struct Watch {
    run: Mutex<Option<Run>>,
    /// Something of a session's own is left: it is no connection for another one.
    used: AtomicBool,
    refused: Mutex<Option<String>>,
}

/// The statement that runs.
#[derive(Clone)]
struct Run {
    given_up: Arc<AtomicBool>,
    until: Instant,
}

impl Kept {
    /// Opens a connection, and the file if there is none. It blocks.
    pub(crate) fn open(file: &File) -> Result<Self> {
        let name = &file.name;
        if let Some(folder) = file.path.parent() {
            let mut make = fs::DirBuilder::new();
            make.recursive(true).mode(0o700).create(folder).map_err(|error| {
                let folder = folder.display();
                SqlError::from(Failure::Backend(format!("{folder} cannot be made: {error}")))
            })?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&file.path, flags);
        let wrong = |error| failure(error, name, None, Duration::ZERO);
        let mut connection = opened.map_err(wrong)?;
        let watch = Arc::new(Watch::default());
        Self::set_up(&mut connection, file, &watch).map_err(wrong)?;
        Ok(Self { connection, watch, size: 0 })
    }

    fn set_up(
        connection: &mut Connection,
        file: &File,
        watch: &Arc<Watch>,
    ) -> rusqlite::Result<()> {
        // Others may be opening it as well.
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_size_limit", LOG)?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (file.capacity / page.max(512).unsigned_abs()).max(1);
        for schema in ["main", "temp"] {
            let set = format!("PRAGMA {schema}.max_page_count = {pages}");
            connection.query_row(&set, [], |_| Ok(()))?;
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4096),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
            (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
        ] {
            connection.set_limit(limit, most)?;
        }
        let looks = watch.clone();
        connection.progress_handler(STEPS, Some(move || looks.is_over()))?;
        let waits = watch.clone();
        connection.busy_handler(Some(move |times: i32| {
            let over = waits.is_over();
            if !over {
                let millis = u64::try_from(times).unwrap_or_default().clamp(1, 10);
                std::thread::sleep(Duration::from_millis(millis));
            }
            !over
        }))?;
        let judges = watch.clone();
        connection.authorizer(Some(move |asked: AuthContext<'_>| judges.judge(&asked)))
    }

    /// Sets what a session's limits say.
    pub(crate) fn limit(&mut self, limits: Limits) -> Result<()> {
        if self.size != limits.size {
            let most = i32::try_from(limits.size).unwrap_or(i32::MAX).max(1024);
            for limit in [Limit::SQLITE_LIMIT_LENGTH, Limit::SQLITE_LIMIT_SQL_LENGTH] {
                let set = self.connection.set_limit(limit, most);
                set.map_err(|error| failure(error, "", None, limits.time))?;
            }
            self.size = limits.size;
        }
        Ok(())
    }

    /// Whether another session may have it as it is.
    pub(crate) fn is_clean(&self) -> bool {
        self.connection.is_autocommit() && !self.watch.used.load(Ordering::Relaxed)
    }

    /// Rolls back what was begun; gives it back if another session may have it then. It blocks.
    pub(crate) fn clean(self) -> Option<Self> {
        self.watch.end();
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").ok()?;
        }
        self.is_clean().then_some(self)
    }
}

impl Watch {
    /// A statement begins, which is stopped at some time, or when it is given up.
    pub(crate) fn begin(&self, given_up: &Arc<AtomicBool>, time: Duration) {
        let run = Run { given_up: given_up.clone(), until: Instant::now() + time };
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The statement ended.
    pub(crate) fn end(&self) {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What the authorizer refused of the statement that was prepared last.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_over(&self) -> bool {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.as_ref()
            .is_some_and(|run| run.given_up.load(Ordering::Relaxed) || Instant::now() >= run.until)
    }

    fn judge(&self, asked: &AuthContext<'_>) -> Authorization {
        let why = match asked.action {
            AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
                "ATTACH, DETACH and VACUUM are not allowed: a workload has the databases that it is linked to"
                    .to_owned()
            }
            AuthAction::Function { function_name }
                if ["load_extension", "fts3_tokenizer"]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(function_name)) =>
            {
                format!("the function {function_name} is not allowed")
            }
            AuthAction::Pragma { pragma_name, pragma_value } => {
                let name = pragma_name.to_ascii_lowercase();
                let among = |list: &[&str]| list.contains(&&*name);
                if pragma_value.is_none() && among(READABLE)
                    || pragma_value.is_some() && among(ASKING)
                    || among(OF_DATABASE)
                {
                    return Authorization::Allow;
                }
                if among(OF_CONNECTION) {
                    self.used.store(true, Ordering::Relaxed);
                    return Authorization::Allow;
                }
                format!("PRAGMA {name} is not allowed, or may only be read")
            }
            AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. } => {
                self.used.store(true, Ordering::Relaxed);
                return Authorization::Allow;
            }
            AuthAction::Unknown { code, .. } => format!("action {code} of SQLite is not known"),
            _ => return Authorization::Allow,
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        Authorization::Deny
    }
}
