//! Composes files: `compose plug OUT HANDLER IMPORT=FILE… [inherit:IMPORT=FILE…]`,
//! `compose front OUT MIDDLEWARE… HANDLER`, `compose cut OUT HANDLER` (without grants),
//! `compose module OUT MODULE`.

use std::error::Error;
use std::fs;

use reef_compose::{Layer, Part, Plug, componentize, in_front, plug};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, out, first, rest @ ..] = &args[..] else {
        return Err("compose plug|front|cut|module OUT FILE…".into());
    };
    let handler = fs::read(first)?;
    let handler = Part { name: first, bytes: &handler };
    let made = match &**what {
        "plug" => {
            let mut files = Vec::new();
            for arg in rest {
                let (import, file) = arg.split_once('=').ok_or("IMPORT=FILE")?;
                files.push((import, file, fs::read(file)?));
            }
            let plugs: Vec<Plug<'_>> = files
                .iter()
                .map(|(import, name, bytes)| Plug {
                    component: Part { name, bytes },
                    import: import.trim_start_matches("inherit:"),
                    export: None,
                    inherit: import.starts_with("inherit:"),
                    own: None,
                })
                .collect();
            plug(handler, &plugs)
        }
        "front" => {
            let files = rest.iter().map(|file| Ok((file, fs::read(file)?)));
            let files: Vec<(&String, Vec<u8>)> = files.collect::<Result<_, std::io::Error>>()?;
            let others = files.iter().map(|(name, bytes)| Part { name, bytes });
            let layers: Vec<Layer<'_>> = [handler]
                .into_iter()
                .chain(others)
                .map(|component| Layer { component, inherit: true })
                .collect();
            let (last, middleware) = layers.split_last().ok_or("no handler")?;
            in_front(middleware, *last)
        }
        "cut" => in_front(&[], Layer { component: handler, inherit: false }),
        _ => componentize(handler).map(|bytes| bytes.into_owned()),
    };
    fs::write(out, made.map_err(|error| error.to_string())?)?;
    Ok(())
}
