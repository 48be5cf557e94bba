//! Lua workers: Lua 5.4 as a WASI 0.1 command that evaluates one script and answers one request.
//!
//! The contract is that of the runtime for JavaScript, beside this one.
//!
//! A script defines `worker(request)`, or returns such a function:
//!
//! ```lua
//! function worker(request)
//!   local count = (Cache.get("count") or 0) + 1
//!   Cache.set("count", count)
//!   return Response.new("Hello " .. request.params.name, 200, { ["x-count"] = count })
//! end
//! ```
//!
//! * `request` has `url`, `method`, `headers` (names in lower case), `body` and `params`.
//! * The result is a response, or text. `Response.new(body, status, headers)`: a header that is sent several
//!   times has a list of values.
//! * `Cache.get(key)`, `Cache.set(key, value)`, `Cache.delete(key)`: the key-value map.
//! * `json.encode(value)`, `json.decode(text)`; `os.getenv(name)`; `print` writes to the log.

use std::cell::RefCell;
use std::ffi::CStr;
use std::io::{Read, Write};
use std::process::exit;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mlua::{Function, Lua, LuaSerdeExt, LuaString, Table, Value};
use serde_json::json;

/// A worker that waits for its request.
enum Worker {
    /// Its script was evaluated.
    Ready(Script),
    /// Its script is to be evaluated.
    Script { name: String, source: String },
}

/// An interpreter with the functions of `worker.lua`.
struct Script {
    lua: Lua,
    functions: Table,
}

thread_local! {
    /// What `wizer-initialize` left.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Evaluates the script on standard input.
#[unsafe(export_name = "wizer-initialize")]
pub extern "C" fn initialize() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "worker.lua".to_owned());
    let source = or_end(read_input());
    let script = or_end(Script::new());
    // What is no Lua never will be; what fails otherwise may need a request.
    or_end(script.lua.load(&*source).set_name(format!("@{name}")).into_function());
    let worker = match script.evaluate(&name, &source) {
        Ok(()) => {
            let _ = script.lua.gc_collect();
            Worker::Ready(script)
        }
        Err(_) => Worker::Script { name, source },
    };
    WORKER.set(Some(worker));
}

fn main() {
    let worker = WORKER.take().unwrap_or_else(|| {
        let mut arguments = std::env::args().skip(1);
        match (arguments.next(), arguments.next()) {
            (Some(name), Some(source)) => Worker::Script { name, source },
            _ => end("usage: lua NAME SCRIPT, with a request on standard input"),
        }
    });
    let script = match worker {
        Worker::Ready(script) => {
            or_end(script.begin());
            script
        }
        Worker::Script { name, source } => {
            let script = or_end(Script::new());
            or_end(script.begin());
            or_end(script.evaluate(&name, &source));
            script
        }
    };
    let request = or_end(read_input());
    let response = or_end(script.serve(&request));
    let mut output = std::io::stdout();
    or_end(output.write_all(response.as_bytes()).and_then(|()| output.flush()));
    // It ends with the instance: nothing of it is given back one by one.
    exit(0)
}

impl Script {
    fn new() -> mlua::Result<Self> {
        let lua = Lua::new();
        let host = lua.create_table()?;
        let log = |_: &Lua, text: LuaString| {
            let _ = std::io::stderr().write_all(&text.as_bytes());
            Ok(())
        };
        host.set("log", lua.create_function(log)?)?;
        host.set(
            "encode",
            lua.create_function(|lua, value: Value| {
                to_json(lua, value).map(|json| json.to_string())
            })?,
        )?;
        host.set(
            "decode",
            lua.create_function(|lua, text: String| {
                let json: serde_json::Value =
                    serde_json::from_str(&text).map_err(mlua::Error::external)?;
                from_json(lua, &json)
            })?,
        )?;
        let functions = lua.load(include_str!("worker.lua")).set_name("=worker").call(host)?;
        Ok(Self { lua, functions })
    }

    /// From here on there is a request.
    fn begin(&self) -> mlua::Result<()> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(mlua::Error::external)?;
        let (one, two) = seed.split_at(8);
        let number =
            |bytes: &[u8]| bytes.iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
        let math: Table = self.lua.globals().get("math")?;
        math.get::<Function>("randomseed")?.call::<()>((number(one), number(two)))?;
        let variables = self.lua.create_table()?;
        for (name, value) in environment().map_err(mlua::Error::runtime)? {
            variables.set(name, value)?;
        }
        self.functions.get::<Function>("begin")?.call(variables)
    }

    fn evaluate(&self, name: &str, source: &str) -> mlua::Result<()> {
        let returned: Value = self.lua.load(source).set_name(format!("@{name}")).eval()?;
        self.functions.get::<Function>("handle")?.call(returned)
    }

    /// The response's JSON for the request's.
    fn serve(&self, request: &str) -> mlua::Result<String> {
        let mut input: serde_json::Value =
            serde_json::from_str(request).map_err(mlua::Error::external)?;
        let body = match (input["body_base64"].as_str(), input["body"].as_str()) {
            (Some(text), _) => BASE64_STANDARD.decode(text).map_err(mlua::Error::external)?,
            (None, text) => text.unwrap_or_default().as_bytes().to_vec(),
        };
        let kv = from_json(&self.lua, &std::mem::take(&mut input["kv"]))?;
        let kv = if kv.is_table() { kv } else { Value::Table(self.lua.create_table()?) };
        let request = self.lua.create_table()?;
        for name in ["url", "method", "headers", "params"] {
            request.set(name, from_json(&self.lua, &input[name])?)?;
        }
        request.set("body", self.lua.create_string(&body)?)?;

        let serve: Function = self.functions.get("serve")?;
        let (body, status, headers, kv): (LuaString, i64, Table, Table) =
            serve.call((request, kv))?;
        let body = body.as_bytes();
        let (data, base64) = match std::str::from_utf8(&body) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (BASE64_STANDARD.encode(&body), true),
        };
        let response = json!({
            "data": data,
            "status": status,
            "headers": to_object(&self.lua, headers)?,
            "kv": to_object(&self.lua, kv)?,
            "base64": base64,
        });
        Ok(response.to_string())
    }
}

fn from_json(lua: &Lua, json: &serde_json::Value) -> mlua::Result<Value> {
    // Nothing is `nil`, and not an object of its own.
    lua.to_value_with(
        json,
        mlua::serde::ser::Options::new()
            .serialize_none_to_null(false)
            .serialize_unit_to_null(false),
    )
}

fn to_json(lua: &Lua, value: Value) -> mlua::Result<serde_json::Value> {
    lua.from_value(value)
}

/// A table as an object, an empty one too.
fn to_object(lua: &Lua, table: Table) -> mlua::Result<serde_json::Map<String, serde_json::Value>> {
    table
        .pairs::<String, Value>()
        .map(|pair| pair.and_then(|(key, value)| Ok((key, to_json(lua, value)?))))
        .collect()
}

/// The environment of this instance. The C library's is that of the one in which Lua was begun.
fn environment() -> Result<Vec<(String, String)>, wasip1::Errno> {
    // SAFETY: both buffers have the sizes that the host asked for, and every pointer is to a text in the
    // second one that ends with a zero.
    let texts: Vec<String> = unsafe {
        let (count, size) = wasip1::environ_sizes_get()?;
        let mut texts = vec![0; size];
        let mut starts = vec![std::ptr::null_mut(); count];
        wasip1::environ_get(starts.as_mut_ptr(), texts.as_mut_ptr())?;
        let read = |start: &*mut u8| CStr::from_ptr(start.cast()).to_string_lossy().into_owned();
        starts.iter().map(read).collect()
    };
    let pair =
        |text: &String| text.split_once('=').map(|(name, value)| (name.into(), value.into()));
    Ok(texts.iter().filter_map(pair).collect())
}

fn read_input() -> std::io::Result<String> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    Ok(input)
}

fn or_end<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| end(&error.to_string()))
}

fn end(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
