//! A photo for the demo, drawn here: no picture lies in the checkout.

/// A PNG of this many pixels: a sun over hills, in colours that blend.
pub(crate) fn landscape(width: u32, height: u32) -> Vec<u8> {
    let mut rows = Vec::with_capacity((width as usize * 3 + 1) * height as usize);
    for y in 0..height {
        rows.push(0); // PNG filter type 0: the row as it is
        for x in 0..width {
            rows.extend(pixel(x as f32 / width as f32, y as f32 / height as f32));
        }
    }
    encode(width, height, &rows)
}

fn pixel(x: f32, y: f32) -> [u8; 3] {
    let hill = 0.65 + 0.08 * (x * 9.0).sin() + 0.03 * (x * 31.0).cos();
    let sun = ((x - 0.7).powi(2) * 2.25 + (y - 0.3).powi(2)).sqrt(); // round at 3:2
    let colour = if y > hill {
        [40.0 + 40.0 * x, 90.0 + 80.0 * (1.0 - y), 50.0]
    } else if sun < 0.08 {
        [255.0, 235.0, 140.0]
    } else {
        [110.0 + 130.0 * y, 150.0 + 60.0 * y, 235.0 - 80.0 * y]
    };
    colour.map(|value| value as u8)
}

/// Wraps filtered RGB rows as a PNG (W3C PNG, third edition, sections 5 and 10) without compressing
/// them.
fn encode(width: u32, height: u32, rows: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]); // 8 bits a channel, RGB, no interlacing
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, b"IHDR", &header);
    chunk(&mut png, b"IDAT", &stored(rows));
    chunk(&mut png, b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let checksum = crc32(&png[start..]);
    png.extend(checksum.to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, section 3.2.4).
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        out.extend((block.len() as u16).to_le_bytes());
        out.extend((!(block.len() as u16)).to_le_bytes());
        out.extend(block);
    }
    out.extend(adler32(data).to_be_bytes());
    out
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65521;
        (low, (high + low) % 65521)
    });
    high << 16 | low
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests;
