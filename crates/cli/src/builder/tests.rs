#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;

use reef_app::Manifest;
use reef_document::Source as Text;
use tempfile::{TempDir, tempdir};

use super::*;

fn application(manifest: &str) -> Application {
    let manifest = Manifest::parse(&Text::new("reef.toml", manifest)).unwrap();
    let mut found = Diagnostics::default();
    let application = manifest.application(None, &mut found);
    application.unwrap_or_else(|| panic!("{found:?}"))
}

/// Workloads by their names, with a build each.
fn workloads(builds: &[(&str, &str)]) -> Application {
    let mut text = "name = 'app'\n".to_owned();
    for (name, build) in builds {
        text.push_str(&format!("[[workload]]\nname = '{name}'\nsource = '{name}.wasm'\n{build}\n"));
    }
    application(&text)
}

fn options(said: &Arc<Mutex<Vec<String>>>) -> Options {
    let said = said.clone();
    let told: Told = Arc::new(move |who, progress| {
        said.lock().unwrap().push(format!("{who}: {progress}"));
    });
    Options { workloads: Vec::new(), jobs: 2, force: false, told, stop: Stop::default() }
}

struct Tried {
    dir: TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Tried {
    fn new() -> Self {
        Self { dir: tempdir().unwrap(), said: Arc::default() }
    }

    fn build(&self, application: &Application) -> Result<Built, BuildError> {
        build(application, self.dir.path(), &options(&self.said))
    }

    fn said(&self, line: &str) -> bool {
        self.said.lock().unwrap().iter().any(|said| said == line)
    }
}

#[test]
fn what_is_current_is_left_as_it_is() {
    let tried = Tried::new();
    let app =
        workloads(&[("a", "build.command = 'echo made; cp in a.wasm'\nbuild.watch = ['in']")]);
    fs::write(tried.dir.path().join("in"), "1").unwrap();
    let made = Built { made: vec!["a".into()], current: Vec::new() };
    let current = Built { made: Vec::new(), current: vec!["a".into()] };
    let older = || {
        let file = fs::File::options().write(true).open(tried.dir.path().join("in")).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(100)).unwrap();
    };
    assert_eq!(tried.build(&app).unwrap(), made);
    assert!(tried.said("a: made"));
    older();
    assert_eq!(tried.build(&app).unwrap(), current);
    assert!(tried.said("a: is current"));
    fs::write(tried.dir.path().join("in"), "2").unwrap();
    assert_eq!(tried.build(&app).unwrap(), made);
    assert_eq!(fs::read_to_string(tried.dir.path().join("a.wasm")).unwrap(), "2");
    older();
    let forced = Options { force: true, ..options(&tried.said) };
    assert_eq!(build(&app, tried.dir.path(), &forced).unwrap(), made);
}

#[test]
fn the_same_command_runs_once_for_all() {
    let tried = Tried::new();
    let once = "build.command = 'echo \"for $(env | grep REEF_WORK)\"; touch a.wasm b.wasm'";
    let app = workloads(&[("a", once), ("b", once), ("c", "build.command = 'touch c.wasm'")]);
    let built = tried.build(&app).unwrap();
    assert_eq!(built.made, ["a", "b", "c"]);
    assert!(tried.said("a,b: for REEF_WORKLOAD=a b"), "{:?}", tried.said);
}

#[test]
fn a_command_that_names_the_workload_runs_for_each() {
    let tried = Tried::new();
    let each = "build.command = 'echo $REEF_APPLICATION; touch $REEF_WORKLOAD.wasm'";
    let built = tried.build(&workloads(&[("a", each), ("b", each)])).unwrap();
    assert_eq!(built.made, ["a", "b"]);
    assert!(tried.said("a: app") && tried.said("b: app"), "{:?}", tried.said);
}

#[test]
fn one_that_fails_is_named_and_the_others_finish() {
    let tried = Tried::new();
    let app = workloads(&[
        ("a", "build.command = 'echo no >&2; exit 3'"),
        ("b", "build.command = 'touch b.wasm'"),
        ("c", "build.command = 'true'"),
        ("d", "build.command = 'touch d.wasm'\nbuild.dir = 'gone'"),
    ]);
    let error = tried.build(&app).unwrap_err();
    assert!(matches!(&error, BuildError::Failed(failures) if failures.len() == 3), "{error:?}");
    let error = error.to_string();
    for part in [
        "a: `echo no >&2; exit 3` failed (exit status: 3)",
        "c: `true` ended well, but there is no ",
        "c.wasm, which the manifest names as `source`",
        "d: `touch d.wasm` cannot be started in ",
    ] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
    assert!(tried.said("a: no"));
    assert!(tried.dir.path().join("b.wasm").exists());
}

#[test]
fn only_those_that_are_named() {
    let tried = Tried::new();
    let make = "build.command = 'touch $REEF_WORKLOAD.wasm'";
    let app = workloads(&[("a", make), ("b", make), ("c", "")]);
    let with = |name: &str| Options { workloads: vec![name.into()], ..options(&tried.said) };
    let built = build(&app, tried.dir.path(), &with("b")).unwrap();
    assert_eq!(built.made, ["b"]);
    assert!(!tried.dir.path().join("a.wasm").exists());
    for (name, said) in [
        ("x", "there is no workload `x`; there is `a`, `b`, `c`"),
        ("c", "the workload `c` has no build"),
    ] {
        let error = build(&app, tried.dir.path(), &with(name)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn whoever_waits_can_end_it_with_all_that_it_started() {
    let tried = Tried::new();
    let stop = Stop::default();
    let (begun, is_begun) = mpsc::channel();
    let told: Told = Arc::new(move |_, progress| {
        if matches!(progress, Progress::Line(_)) {
            let _ = begun.send(progress.to_string());
        }
    });
    let options =
        Options { workloads: Vec::new(), jobs: 1, force: false, told, stop: stop.clone() };
    // A child of the shell's, which the shell waits for.
    let app = workloads(&[
        ("a", "build.command = 'sleep 600 & echo $!; wait'"),
        ("b", "build.command = 'touch b.wasm'"),
    ]);
    let dir = tried.dir.path().to_owned();
    let building = thread::spawn(move || build(&app, &dir, &options));
    let child = is_begun.recv().unwrap();
    stop.now();
    assert!(matches!(building.join().unwrap(), Err(BuildError::Stopped)));
    assert!(!tried.dir.path().join("b.wasm").exists());
    // Its output is closed a moment before it has ended.
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let state = state.rsplit_once(") ").map_or("", |(_, state)| state);
        if state.is_empty() || state.starts_with('Z') {
            return;
        }
        assert!(Instant::now() < until, "it goes on: {state}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_a_command_leaves_behind_is_not_waited_for() {
    let tried = Tried::new();
    // It has the command's output, which does not end before it does.
    let app = workloads(&[("a", "build.command = 'sleep 600 & echo $!; touch a.wasm'")]);
    assert_eq!(tried.build(&app).unwrap().made, ["a"]);
    let said = tried.said.lock().unwrap();
    let pid = said.iter().find_map(|line| line.strip_prefix("a: ")?.parse().ok()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It is still there.
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
