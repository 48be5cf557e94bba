//! What is asked of PostgreSQL. Buckets and keys are bytes there: text may not hold every character, and is ordered
//! by language.

use std::sync::Arc;

/// The statements for one table.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) get: Arc<str>,
    pub(super) exists: Arc<str>,
    pub(super) set: Arc<str>,
    pub(super) set_absent: Arc<str>,
    pub(super) swap: Arc<str>,
    pub(super) add: Arc<str>,
    pub(super) delete: Arc<str>,
    pub(super) keys: Arc<str>,
    pub(super) get_many: Arc<str>,
    pub(super) set_many: Arc<str>,
    pub(super) delete_many: Arc<str>,
    /// Takes away some of what has expired.
    pub(super) sweep: Arc<str>,
    /// Makes the table, if there is none.
    pub(super) make: String,
    /// Has changes told on the channel that is called as the table.
    pub(super) tell: String,
}

impl Statements {
    /// For a table, which is called by a [name](is_name) of SQL.
    pub(super) fn new(table: &str) -> Self {
        // Of a value that has expired, nothing is left.
        let live = "(expires is null or expires > clock_timestamp())";
        let dead = format!("{table}.expires <= clock_timestamp()");
        let version = format!("nextval('{table}_version')");
        let put = format!(
            "insert into {table} (bucket, key, value, version, expires) values ($1, $2, $3, {version}, \
             clock_timestamp() + $4::bigint * interval '1 millisecond') on conflict (bucket, key) do update \
             set value = excluded.value, version = excluded.version, expires = excluded.expires"
        );
        let number = format!("convert_from({table}.value, 'UTF8')::bigint");
        let one = format!("from {table} where bucket = $1 and key = $2");
        let many = format!("from {table} where bucket = $1 and key = any($2)");
        Self {
            get: format!("select value, version {one} and {live}").into(),
            exists: format!("select 1 {one} and {live}").into(),
            set_absent: format!("{put} where {dead}").into(),
            set: put.into(),
            swap: format!(
                "update {table} set value = $3, version = {version}, expires = null \
                 where bucket = $1 and key = $2 and version = $4 and {live}"
            )
            .into(),
            add: format!(
                "insert into {table} (bucket, key, value, version) \
                 values ($1, $2, convert_to($3::bigint::text, 'UTF8'), {version}) \
                 on conflict (bucket, key) do update set version = excluded.version, \
                 value = convert_to(((case when {dead} then 0 else {number} end) + $3::bigint)::text, 'UTF8'), \
                 expires = case when {dead} then null else {table}.expires end \
                 returning convert_from(value, 'UTF8')::bigint"
            )
            .into(),
            delete: format!("delete {one}").into(),
            keys: format!(
                "select key from {table} where bucket = $1 and key >= $2 and key > $3 and key < $4 and {live} \
                 order by key limit $5"
            )
            .into(),
            get_many: format!("select key, value {many} and {live}").into(),
            set_many: format!(
                "insert into {table} (bucket, key, value, version) \
                 select $1, one.key, one.value, {version} from unnest($2::bytea[], $3::bytea[]) as one(key, value) \
                 on conflict (bucket, key) do update \
                 set value = excluded.value, version = excluded.version, expires = null"
            )
            .into(),
            delete_many: format!("delete {many}").into(),
            sweep: format!(
                "delete from {table} where (bucket, key) in (select bucket, key from {table} \
                 where expires <= clock_timestamp() limit 100 for update skip locked)"
            )
            .into(),
            // Two hosts may find at once that there is none.
            make: format!(
                "begin; select pg_advisory_xact_lock(hashtext('reef {table}')); \
                 create sequence if not exists {table}_version; \
                 create table if not exists {table} (bucket bytea not null, key bytea not null, \
                 value bytea not null, version bigint not null, expires timestamptz, \
                 primary key (bucket, key)); \
                 create index if not exists {table}_expires on {table} (expires) where expires is not null; \
                 commit"
            ),
            tell: format!(
                "begin; select pg_advisory_xact_lock(hashtext('reef {table}')); \
                 create or replace function {table}_tell() returns trigger language plpgsql as $tell$ \
                 begin \
                 if tg_op = 'DELETE' then \
                 perform pg_notify('{table}', 'd' || encode(old.bucket, 'hex') || ' ' || encode(old.key, 'hex')); \
                 else \
                 perform pg_notify('{table}', 's' || encode(new.bucket, 'hex') || ' ' || encode(new.key, 'hex')); \
                 end if; \
                 return null; \
                 end $tell$; \
                 create or replace trigger {table}_tell after insert or update or delete on {table} \
                 for each row execute function {table}_tell(); \
                 commit"
            ),
        }
    }
}

/// Whether a text can be a table's name as it stands: small letters, digits and `_`, and short enough for the names
/// that are made of it.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && text.len() <= 48
}
