//! Where a guest's standard streams go.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream, StdoutStream},
    p2::{Pollable, StreamResult},
};
use wasmtime_wasi_io::streams::OutputStream;

use crate::voice::{LONGEST, Voice};

/// The standard streams of one instance.
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// Nothing in; what comes out is logged with the workload's name.
    Log,
    /// Streams of the trigger's: a request body in, a response out. Errors are logged.
    Piped {
        /// Standard input.
        stdin: Box<dyn StdinStream>,
        /// Standard output.
        stdout: Box<dyn StdoutStream>,
    },
    /// The same, and errors are for the caller, too.
    Captured {
        /// Standard input.
        stdin: Box<dyn StdinStream>,
        /// Standard output.
        output: Box<dyn StdoutStream>,
        /// Standard error.
        errors: Box<dyn StdoutStream>,
    },
}

/// Logs what a guest writes, a line at a time.
#[derive(Clone)]
pub struct Lines {
    voice: Arc<Voice>,
    stream: &'static str,
    line: Arc<Mutex<Vec<u8>>>,
}

// === impl Stdio ===

impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inherit => "Inherit",
            Self::Log => "Log",
            Self::Piped { .. } => "Piped",
            Self::Captured { .. } => "Captured",
        })
    }
}

// === impl Lines ===

impl Lines {
    pub(crate) fn new(voice: Arc<Voice>, stream: &'static str) -> Self {
        Self { voice, stream, line: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut rest, ends) = match piece.strip_suffix(b"\n") {
                Some(rest) => (rest, true),
                None => (piece, false),
            };
            while line.len() + rest.len() > LONGEST {
                let fits = LONGEST - line.len();
                line.extend_from_slice(&rest[..fits]);
                rest = &rest[fits..];
                let whole = whole_characters(&line);
                self.voice.line(self.stream, &line[..whole]);
                line.drain(..whole);
            }
            line.extend_from_slice(rest);
            if ends {
                self.voice.line(self.stream, &line);
                line.clear();
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if Arc::strong_count(&self.line) == 1 {
            let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            if !line.is_empty() {
                self.voice.line(self.stream, &line);
            }
        }
    }
}

/// How many bytes of a line that is cut are whole characters: all but the beginning of the last one.
fn whole_characters(line: &[u8]) -> usize {
    let (last, from) = match line.utf8_chunks().last() {
        Some(chunk) => (chunk.invalid().len(), line.len() - chunk.invalid().len()),
        None => (0, line.len()),
    };
    // Longer ones, and those that are not the beginning of anything, are no text anyway.
    if last < 4 && from > 0 { from } else { line.len() }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

// The trait is declared with `async_trait`; this is what that expands to.
impl Pollable for Lines {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A boxed stream where a concrete one is wanted.
pub(crate) struct Boxed<T: ?Sized>(pub(crate) Box<T>);

impl<T: IsTerminal + ?Sized> IsTerminal for Boxed<T> {
    fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StdinStream for Boxed<dyn StdinStream> {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncRead + Send + Sync> {
        self.0.async_stream()
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi_io::streams::InputStream> {
        self.0.p2_stream()
    }
}

impl StdoutStream for Boxed<dyn StdoutStream> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        self.0.async_stream()
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        self.0.p2_stream()
    }
}

#[cfg(test)]
mod tests;
