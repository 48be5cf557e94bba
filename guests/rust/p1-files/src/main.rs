//! Uses files: makes one, writes it, reads it again, and asks how long it is, as many times as its second argument says,
//! over a hundred names in the folder of its first one. Prints how many bytes came back.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().expect("a folder");
    let rounds: u64 = args.next().and_then(|n| n.parse().ok()).expect("how many times");
    let mut back = 0;
    for round in 0..rounds {
        let path = Path::new(&folder).join(format!("f{}", round % 100));
        let block = [round as u8; 1024];
        File::create(&path)?.write_all(&block)?;
        let mut read = [0; 1024];
        File::open(&path)?.read_exact(&mut read)?;
        assert!(read == block, "{path:?} is another one");
        back += fs::metadata(&path)?.len();
    }
    println!("{back} bytes");
    Ok(())
}
