// A bare module, without any import: what `--invoke 'add(1, 2)'` calls.

export function add(a: i32, b: i32): i32 {
  return a + b;
}

export function fib(n: i32): i64 {
  let current: i64 = 0;
  let next: i64 = 1;
  for (let i = 0; i < n; i++) {
    const sum = current + next;
    current = next;
    next = sum;
  }
  return current;
}

export function half(x: f64): f64 {
  return x / 2;
}
