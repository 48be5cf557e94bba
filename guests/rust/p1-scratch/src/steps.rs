//! What is done to files, by a query: `write:/tmp/a:0:100,rm:/tmp/a` says `ok,ok`, or what went wrong.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};

pub fn all(query: &str) -> String {
    query.split(',').map(one).collect::<Vec<_>>().join(",")
}

fn one(step: &str) -> String {
    let parts: Vec<&str> = step.split(':').collect();
    let number = |at: usize| parts.get(at).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let done = match parts.as_slice() {
        ["write", path, ..] => write(path, number(2), number(3)),
        ["append", path, ..] => append(path, number(2)),
        ["size", path, ..] => open(path).and_then(|file| file.set_len(number(2))),
        ["truncate", path] => File::create(path).map(drop),
        ["rm", path] => fs::remove_file(path),
        ["mv", from, to] => fs::rename(from, to),
        ["ln", from, to] => fs::hard_link(from, to),
        ["mkdir", path] => fs::create_dir(path),
        ["rmdir", path] => fs::remove_dir(path),
        ["read", path] => return length(path),
        ["nameless", path, ..] => return nameless(path, number(2)),
        ["many", path, ..] => return many(path, number(2)),
        _ => return "?".to_owned(),
    };
    said(done)
}

fn said(done: io::Result<()>) -> String {
    done.map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".to_owned())
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

fn bytes(mut count: u64, file: &mut File) -> io::Result<()> {
    let piece = [b'x'; 4096];
    while count > 0 {
        let next = count.min(piece.len() as u64) as usize;
        file.write_all(&piece[..next])?;
        count -= next as u64;
    }
    file.flush()
}

fn write(path: &str, offset: u64, count: u64) -> io::Result<()> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    bytes(count, &mut file)
}

fn append(path: &str, count: u64) -> io::Result<()> {
    bytes(count, &mut OpenOptions::new().create(true).append(true).open(path)?)
}

fn length(path: &str) -> String {
    fs::read(path).map_or_else(|error| format!("{:?}", error.kind()), |all| all.len().to_string())
}

/// Writes to a file that has no name any more, twice as much as is said, then to another of that name.
fn nameless(path: &str, count: u64) -> String {
    let again = || -> io::Result<String> {
        let mut file = open(path)?;
        bytes(count, &mut file)?;
        fs::remove_file(path)?;
        let more = said(bytes(count, &mut file));
        drop(file);
        Ok(format!("{more} {}", said(write(path, 0, count))))
    };
    again().unwrap_or_else(|error| format!("{:?}", error.kind()))
}

/// Makes files until that is refused.
fn many(path: &str, most: u64) -> String {
    for n in 0..most {
        if let Err(error) = File::create(format!("{path}/{n}")) {
            return format!("{n} {:?}", error.kind());
        }
    }
    format!("{most} ok")
}
