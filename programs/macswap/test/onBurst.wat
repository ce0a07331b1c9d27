 (func $programs/macswap/wirelet-entry/onBurst (param $0 i32)
  (local $1 i32)
  (local $2 i64)
  (local $3 i32)
  local.get $0
  i32.const -64
  i32.sub
  local.tee $1
  local.get $0
  i32.load
  i32.const 5
  i32.shl
  i32.add
  local.set $3
  loop $do-loop|0
   local.get $1
   i32.load
   local.tee $0
   i64.load
   local.set $2
   local.get $0
   local.get $0
   i64.load32_u offset=8
   i64.const 16
   i64.shl
   local.get $2
   i64.const 48
   i64.shr_u
   i64.xor
   local.get $2
   i64.const 48
   i64.shl
   i64.xor
   i64.store
   local.get $0
   local.get $2
   i64.const 16
   i64.shr_u
   i64.store32 offset=8
   local.get $1
   i32.const 0
   i32.store8 offset=12
   local.get $3
   local.get $1
   i32.const 32
   i32.add
   local.tee $1
   i32.ne
   br_if $do-loop|0
  end
 )
