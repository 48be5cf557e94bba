//! WASI 0.1 from Zig, by its bindings to the system interface itself.

const std = @import("std");
const wasi = std.os.wasi;

fn print(text: []const u8) void {
    const pieces = [_]wasi.ciovec_t{.{ .base = text.ptr, .len = text.len }};
    var written: usize = 0;
    _ = wasi.fd_write(1, &pieces, pieces.len, &written);
}

pub fn main() void {
    print("hello from Zig\n");
    var count: usize = 0;
    var size: usize = 0;
    _ = wasi.args_sizes_get(&count, &size);
    var buffer: [64]u8 = undefined;
    print(std.fmt.bufPrint(&buffer, "arguments: {d}\n", .{count}) catch "too many\n");
}
