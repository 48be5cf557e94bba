//! What is under way, on standard error: on a terminal a block of lines that change, below everything
//! that is said; elsewhere a line for what takes longer than a person wonders.
//!
//! What is written to standard error while something is under way goes through [`write`], so that the
//! block stays below it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use reef_grants::ByteSize;
use reef_host::deploy::{Event, Stage};

/// After this, a person is told what takes so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// The block is drawn anew so often.
const DRAW: Duration = Duration::from_millis(100);
/// Lines of the block, and of the times at its end: the last, and the slowest.
const MOST: usize = 12;
/// What took less is not worth a line.
const BRIEF: Duration = Duration::from_millis(50);
/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

static SCREEN: LazyLock<Mutex<Screen>> =
    LazyLock::new(|| Mutex::new(Screen::new(io::stderr().is_terminal())));

/// What is under way, and what of it is to be seen.
struct Screen {
    terminal: bool,
    rows: Vec<Row>,
    /// Lines of the block as it was drawn last.
    drawn: usize,
    /// A thread draws it.
    watched: bool,
    /// When the change that is in progress had its first step.
    since: Option<Instant>,
}

/// One thing that is done, or was in this change.
struct Row {
    name: String,
    /// It is a workload of a change.
    of_change: bool,
    doing: Option<Doing>,
    /// Its text says by itself how far it is.
    counted: bool,
    /// What was done before, and for how long.
    done: Vec<(&'static str, Duration)>,
}

struct Doing {
    text: String,
    /// What is said when it is done.
    word: &'static str,
    since: Instant,
    said: bool,
}

// === impl Screen ===

impl Screen {
    fn new(terminal: bool) -> Self {
        Self { terminal, rows: Vec::new(), drawn: 0, watched: false, since: None }
    }

    fn begin(&mut self, name: &str, of_change: bool, text: String, word: &'static str) {
        let doing = Some(Doing { text, word, since: Instant::now(), said: false });
        match self.rows.iter_mut().find(|row| row.name == name && row.of_change == of_change) {
            Some(row) => row.doing = doing,
            None => {
                let (name, done) = (name.to_owned(), Vec::new());
                self.rows.push(Row { name, of_change, counted: false, doing, done });
            }
        }
    }

    /// What a change was at is done.
    fn step(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.of_change) {
            row.finish();
        }
    }

    /// The change is over. What it took, for people.
    fn over(&mut self, application: &str, well: bool) -> String {
        self.step();
        let (mut own, others): (Vec<_>, Vec<_>) =
            self.rows.drain(..).partition(|row| row.of_change);
        self.rows = others;
        let Some(since) = self.since.take().filter(|_| self.terminal && well) else {
            return String::new();
        };
        let made = own.len();
        own.retain(|row| row.took() >= BRIEF);
        own.sort_by_key(|row| std::cmp::Reverse(row.took()));
        let mut said = String::new();
        for row in own.iter().take(MOST) {
            said.push_str(&format!("  {}\n", row.text()));
        }
        if own.len() > MOST {
            said.push_str(&format!("  and {} more\n", own.len() - MOST));
        }
        let workloads = if made == 1 { "workload" } else { "workloads" };
        let seconds = since.elapsed().as_secs_f64();
        said.push_str(&format!("{application}: {made} {workloads} ready in {seconds:.1} s\n"));
        said
    }

    /// The block, line by line.
    fn lines(&self, columns: usize) -> Vec<String> {
        let hidden = self.rows.len().saturating_sub(MOST);
        let rows = self.rows[hidden..].iter().map(Row::text);
        let above = (hidden > 0).then(|| format!("{hidden} more above"));
        let cut = |line: String| match line.char_indices().nth(columns.saturating_sub(1)) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        };
        above.into_iter().chain(rows).map(cut).collect()
    }

    /// What has taken too long to keep quiet of, where there is no terminal.
    fn overdue(&mut self) -> String {
        let mut said = String::new();
        let timed = self.rows.iter_mut().filter(|row| !row.counted);
        for doing in timed.filter_map(|row| row.doing.as_mut()) {
            if !doing.said && doing.since.elapsed() >= PATIENCE {
                doing.said = true;
                said.push_str(&format!("{} …\n", doing.text));
            }
        }
        said
    }

    /// Takes the block away.
    fn clear(&mut self) {
        if self.drawn > 0 {
            print(format!("\x1b[{}A\x1b[J", self.drawn).as_bytes());
            self.drawn = 0;
        }
    }

    fn draw(&mut self) {
        if !self.terminal {
            return print(self.overdue().as_bytes());
        }
        let columns = terminal_size::terminal_size_of(io::stderr());
        let columns = columns.map_or(COLUMNS, |(width, _)| usize::from(width.0));
        let lines = self.lines(columns);
        let mut block = match self.drawn {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}A\x1b[J"),
        };
        for line in &lines {
            block.push_str(line);
            block.push('\n');
        }
        self.drawn = lines.len();
        print(block.as_bytes());
    }
}

// === impl Row ===

impl Row {
    fn finish(&mut self) {
        if let Some(doing) = self.doing.take() {
            self.done.push((doing.word, doing.since.elapsed()));
        }
    }

    fn took(&self) -> Duration {
        self.done.iter().map(|(_, took)| *took).sum()
    }

    fn text(&self) -> String {
        if let Some(doing) = &self.doing {
            if self.counted {
                return doing.text.clone();
            }
            return format!("{} … {:.1} s", doing.text, doing.since.elapsed().as_secs_f64());
        }
        let done = self.done.iter().filter(|(_, took)| *took >= BRIEF);
        let done: Vec<_> =
            done.map(|(word, took)| format!("{word} in {:.1} s", took.as_secs_f64())).collect();
        match done.is_empty() {
            true => format!("{}: there", self.name),
            false => format!("{}: {}", self.name, done.join(", ")),
        }
    }
}

fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn print(bytes: &[u8]) {
    if !bytes.is_empty() {
        // With standard error gone there is nobody to tell.
        let _ = io::stderr().lock().write_all(bytes);
    }
}

/// Draws as long as there is something to draw.
fn watch(mut screen: MutexGuard<'_, Screen>) {
    if std::mem::replace(&mut screen.watched, true) {
        return;
    }
    let drawing = thread::Builder::new().name("progress".into()).spawn(|| {
        loop {
            thread::sleep(DRAW);
            let mut screen = lock();
            if screen.rows.is_empty() {
                screen.watched = false;
                return;
            }
            screen.draw();
        }
    });
    // Without a thread nothing is shown.
    drop(drawing);
}

/// Writes whole lines to standard error, above what is under way.
pub(crate) fn write(lines: &[u8]) {
    let mut screen = lock();
    let drawn = screen.drawn > 0;
    screen.clear();
    print(lines);
    if drawn {
        screen.draw();
    }
}

/// Shows a line that says by itself how far something is, in the place of what it said before.
pub(crate) fn show(name: &str, text: String) {
    let mut screen = lock();
    screen.begin(name, false, text, "");
    for row in screen.rows.iter_mut().filter(|row| !row.of_change && row.name == name) {
        row.counted = true;
    }
    watch(screen);
}

/// It is over.
pub(crate) fn hide(name: &str) {
    let mut screen = lock();
    screen.rows.retain(|row| row.of_change || row.name != name);
    screen.clear();
}

/// Says that something is being compiled if that takes longer than a person wonders.
pub(crate) fn compiling(name: &str, size: usize) -> Box<dyn Send> {
    struct Shown(String);
    impl Drop for Shown {
        fn drop(&mut self) {
            hide(&self.0);
        }
    }
    let size = ByteSize(size as u64);
    let text = format!("Compiling {name} ({size}), once; later runs take it from the cache");
    let mut screen = lock();
    screen.begin(name, false, text, "compiled");
    watch(screen);
    Box::new(Shown(name.to_owned()))
}

/// Shows what happens in a change of what runs: on a terminal a step is there as soon as it begins, also
/// one that is over before the block is drawn anew.
pub(crate) fn event(event: &Event<'_>) {
    let mut screen = lock();
    match event {
        Event::Step { workload, place, stage } => {
            let place = place.map(|(at, of)| format!("{at} of {of}: ")).unwrap_or_default();
            let (text, word) = match stage {
                Stage::Compiling(bytes) => {
                    let size = ByteSize(*bytes as u64);
                    (format!("Compiling {place}{workload} ({size})"), "compiled")
                }
                Stage::Evaluating => (format!("Evaluating {place}{workload}"), "evaluated"),
                Stage::Trying => (format!("Starting {workload}"), "tried"),
                Stage::Starting => (format!("Starting {workload}: {stage}"), "started"),
                Stage::Asking => (format!("Starting {workload}: {stage}"), "ready"),
            };
            screen.since.get_or_insert_with(Instant::now);
            screen.step();
            screen.begin(workload, true, text, word);
            if screen.terminal {
                screen.draw();
            }
            watch(screen);
        }
        Event::Over { application, well } => {
            let said = screen.over(application, *well);
            screen.clear();
            print(said.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
