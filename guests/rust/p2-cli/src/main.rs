//! A WASI 0.2 command built from the Rust standard library: shows its arguments and environment,
//! copies a file inside `/data` when it may, and ends as its first argument says: `fail` with status 1,
//! `trap` with a trap, `wait` and `spin` never, `fill` with as much memory as it gets. With `cat` it copies
//! standard input to standard output and does nothing else.

fn main() {
    if std::env::args().nth(1).as_deref() == Some("cat") {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()).expect("copies");
        return;
    }
    println!("hello from WASI 0.2");
    for (index, argument) in std::env::args().enumerate() {
        println!("arg {index}: {argument}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (key, value) in variables {
        println!("env {key}={value}");
    }
    match copy_inside("/data") {
        Ok(bytes) => println!("file: copied {bytes} bytes"),
        Err(error) => println!("file: refused: {error}"),
    }
    match std::env::args().nth(1).as_deref() {
        Some("fail") => {
            eprintln!("failing as asked");
            std::process::exit(1);
        }
        Some("trap") => panic!("asked to trap"),
        Some("wait") => std::thread::sleep(std::time::Duration::MAX),
        Some("spin") => loop {
            std::hint::black_box(());
        },
        Some("fill") => {
            let mut blocks: Vec<Vec<u8>> = Vec::new();
            loop {
                blocks.push(vec![1; 1 << 20]);
                std::hint::black_box(&blocks);
            }
        }
        _ => {}
    }
}

fn copy_inside(folder: &str) -> std::io::Result<u64> {
    std::fs::write(format!("{folder}/in.txt"), "written by the guest\n")?;
    std::fs::copy(format!("{folder}/in.txt"), format!("{folder}/out.txt"))
}
