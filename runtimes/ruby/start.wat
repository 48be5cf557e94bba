;; The start function of the runtime for Ruby: initialises the interpreter, gives it the command's arguments
;; after the first, evaluates the program that was put in place of the marks below, and exits with 1 if it
;; raised.
;;
;; The interpreter exports functions of an early canonical ABI: a string is an address and a length,
;; a list of strings is an address of such pairs and their number.
(module
  (import "ruby" "memory" (memory 1))
  (import "ruby" "_initialize" (func $initialize))
  (import "ruby" "cabi_realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "ruby" "ruby-init: func(args: list<string>) -> ()" (func $ruby_init (param i32 i32)))
  (import "ruby" "ruby-init-loadpath: func() -> ()" (func $ruby_init_loadpath))
  (import "ruby" "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
    (func $evaluate (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

  ;; Arguments, each ended by a zero byte: the name, the encoding, no packages, and an empty program.
  (data $arguments "ruby\00-EUTF-8\00--disable-gems\00-e_=0\00")
  (data $program "@PROGRAM@")

  (func $allocate (param $alignment i32) (param $size i32) (result i32)
    (call $realloc (i32.const 0) (i32.const 0) (local.get $alignment) (local.get $size)))

  ;; A pair of the address and the length of a text that ends with a zero.
  (func $set_pair (param $at i32) (param $address i32)
    (local $end i32)
    (local.set $end (local.get $address))
    (block $ended
      (loop $next
        (br_if $ended (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $at) (local.get $address))
    (i32.store offset=4 (local.get $at) (i32.sub (local.get $end) (local.get $address))))

  (func (export "_start")
    (local $text i32) (local $list i32) (local $result i32)
    (local $sizes i32) (local $count i32) (local $starts i32) (local $at i32)
    (call $initialize)

    ;; The command's arguments.
    (local.set $sizes (call $allocate (i32.const 4) (i32.const 8)))
    (drop (call $args_sizes_get (local.get $sizes) (i32.add (local.get $sizes) (i32.const 4))))
    (local.set $count (i32.load (local.get $sizes)))
    (local.set $starts
      (call $allocate (i32.const 4) (i32.mul (local.get $count) (i32.const 4))))
    (drop (call $args_get (local.get $starts)
      (call $allocate (i32.const 1) (i32.load offset=4 (local.get $sizes)))))

    ;; The interpreter's: four of its own, then those after the command's name.
    (local.set $list (call $allocate (i32.const 4)
      (i32.mul (i32.add (local.get $count) (i32.const 4)) (i32.const 8))))
    (local.set $text (call $allocate (i32.const 1) (i32.const 34)))
    (memory.init $arguments (local.get $text) (i32.const 0) (i32.const 34))
    (call $set_pair (local.get $list) (local.get $text))
    (call $set_pair (i32.add (local.get $list) (i32.const 8))
      (i32.add (local.get $text) (i32.const 5)))
    (call $set_pair (i32.add (local.get $list) (i32.const 16))
      (i32.add (local.get $text) (i32.const 13)))
    (call $set_pair (i32.add (local.get $list) (i32.const 24))
      (i32.add (local.get $text) (i32.const 28)))
    (local.set $at (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $count)))
        (call $set_pair
          (i32.add (local.get $list) (i32.mul (i32.add (local.get $at) (i32.const 3)) (i32.const 8)))
          (i32.load (i32.add (local.get $starts) (i32.mul (local.get $at) (i32.const 4)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (call $ruby_init (local.get $list) (i32.add (local.get $at) (i32.const 3)))
    (call $ruby_init_loadpath)

    (local.set $text (call $allocate (i32.const 1) (i32.const @LENGTH@)))
    (memory.init $program (local.get $text) (i32.const 0) (i32.const @LENGTH@))
    ;; The result is a handle and, after it, a status that is zero when nothing was raised.
    (local.set $result (call $evaluate (local.get $text) (i32.const @LENGTH@)))
    (call $exit (i32.ne (i32.load offset=4 (local.get $result)) (i32.const 0)))))
