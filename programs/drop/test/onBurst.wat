 (func $programs/drop/wirelet-entry/onBurst (param $0 i32)
  (local $1 i32)
  local.get $0
  i32.const -64
  i32.sub
  local.tee $1
  local.get $0
  i32.load
  i32.const 5
  i32.shl
  i32.add
  local.set $0
  loop $do-loop|0
   local.get $1
   i32.const 1
   i32.store8 offset=12
   local.get $0
   local.get $1
   i32.const 32
   i32.add
   local.tee $1
   i32.ne
   br_if $do-loop|0
  end
 )
