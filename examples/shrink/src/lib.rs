//! An image shrinker: one exported function, a photo in as a byte stream, a smaller one out.
//!
//! It opens no file and no connection. Whoever calls it decides where the bytes come from and go,
//! which is why it needs no permission at all.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageFormat, ImageReader, ImageResult};
use wit_bindgen::StreamReader;

wit_bindgen::generate!({ world: "shrinker", path: "wit" });

/// The result fits into a square of this many pixels.
const LONGEST_SIDE: u32 = 480;
const JPEG_QUALITY: u8 = 80;

struct Shrinker;

export!(Shrinker);

impl Guest for Shrinker {
    async fn shrink(photo: StreamReader<u8>) -> StreamReader<u8> {
        let bytes = photo.collect().await;
        let smaller = smaller(&bytes).unwrap_or_else(|error| {
            eprintln!("shrink: not a picture that can be made smaller: {error}");
            std::process::exit(1);
        });
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            // What is left over is what the caller did not want to read.
            let _unread = writer.write_all(smaller).await;
        });
        reader
    }
}

/// Decodes, scales down and encodes again. A picture that is small already keeps its size.
fn smaller(bytes: &[u8]) -> ImageResult<Vec<u8>> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format();
    let picture = reader.decode()?;
    let picture = if picture.width().max(picture.height()) > LONGEST_SIDE {
        picture.thumbnail(LONGEST_SIDE, LONGEST_SIDE)
    } else {
        picture
    };
    encode(&picture, format)
}

fn encode(picture: &DynamicImage, format: Option<ImageFormat>) -> ImageResult<Vec<u8>> {
    let mut out = Vec::new();
    match format {
        Some(ImageFormat::Png) => picture.write_with_encoder(PngEncoder::new(&mut out))?,
        _ => {
            let encoder = JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY);
            picture.to_rgb8().write_with_encoder(encoder)?;
        }
    }
    Ok(out)
}
