 (func $runtime/test/lookup/wirelet-entry/onBurst (param $0 i32)
  (local $1 i32)
  (local $2 i64)
  (local $3 i32)
  (local $4 i32)
  (local $5 i32)
  (local $6 i32)
  (local $7 i32)
  (local $8 i32)
  (local $9 i32)
  (local $10 i64)
  (local $11 i32)
  local.get $0
  i32.const -64
  i32.sub
  local.tee $4
  local.get $0
  i32.load
  i32.const 5
  i32.shl
  i32.add
  local.set $7
  global.get $runtime/test/lookup/index/marks
  local.set $3
  loop $do-loop|0
   local.get $4
   block $"~lib/@wirelet/runtime/tableprobe/TableProbe.read<u32,u64>|inlined.0" (result i64)
    local.get $3
    i32.load offset=24
    local.get $4
    i32.load offset=16
    local.tee $6
    i64.extend_i32_u
    local.tee $2
    local.get $3
    i64.load offset=32
    i64.xor
    local.tee $10
    i64.const -7046029254386353131
    i64.mul
    local.get $10
    i64.const 4294967295
    i64.and
    local.get $10
    i64.const 32
    i64.shr_u
    i64.mul
    i64.add
    local.tee $10
    local.get $10
    i64.const 32
    i64.shr_u
    i64.xor
    i64.const -2960836687051489901
    i64.mul
    local.tee $10
    local.get $10
    i64.const 29
    i64.shr_u
    i64.xor
    local.tee $10
    i32.wrap_i64
    i32.and
    local.tee $1
    local.get $3
    i32.load offset=4
    i32.add
    local.tee $5
    v128.load
    local.get $10
    i64.const 57
    i64.shr_u
    i64.const 128
    i64.or
    i32.wrap_i64
    i8x16.splat
    i8x16.eq
    i8x16.bitmask
    local.tee $0
    i32.const 32767
    i32.and
    if
     local.get $3
     i32.load offset=8
     local.get $1
     i32.const 15
     i32.mul
     i32.add
     local.get $0
     i32.ctz
     i32.const 4
     i32.shl
     i32.add
     local.tee $8
     i64.load
     local.get $2
     i64.eq
     if
      local.get $8
      i32.const 8
      i32.add
      i64.load
      br $"~lib/@wirelet/runtime/tableprobe/TableProbe.read<u32,u64>|inlined.0"
     end
     local.get $0
     local.get $0
     i32.const 1
     i32.sub
     i32.and
     local.tee $0
     i32.const 32767
     i32.and
     if
      local.get $3
      i32.load offset=8
      local.get $1
      i32.const 15
      i32.mul
      i32.add
      local.get $0
      i32.ctz
      i32.const 4
      i32.shl
      i32.add
      local.tee $1
      i64.load
      local.get $6
      i64.extend_i32_u
      i64.eq
      if
       local.get $1
       i32.const 8
       i32.add
       i64.load
       br $"~lib/@wirelet/runtime/tableprobe/TableProbe.read<u32,u64>|inlined.0"
      end
      local.get $0
      local.get $0
      i32.const 1
      i32.sub
      i32.and
      local.set $0
     end
    end
    i64.const 0
    local.get $5
    i32.load8_u offset=15
    local.get $0
    i32.const 32767
    i32.and
    i32.or
    i32.eqz
    br_if $"~lib/@wirelet/runtime/tableprobe/TableProbe.read<u32,u64>|inlined.0"
    drop
    block $"__inlined_func$~lib/@wirelet/runtime/tableprobe/findFurther<u32,u64>" (result i32)
     local.get $3
     i32.load offset=24
     local.tee $1
     local.get $10
     i32.wrap_i64
     i32.and
     local.set $0
     local.get $1
     local.get $10
     i64.const 32
     i64.shr_u
     i32.wrap_i64
     i32.and
     local.set $1
     local.get $10
     i64.const 57
     i64.shr_u
     i64.const 128
     i64.or
     i32.wrap_i64
     local.set $8
     loop $while-continue|0
      local.get $0
      local.get $3
      i32.load offset=4
      i32.add
      local.tee $11
      v128.load
      local.get $8
      i8x16.splat
      i8x16.eq
      i8x16.bitmask
      i32.const 32767
      i32.and
      local.set $5
      loop $for-loop|1
       local.get $5
       if
        local.get $3
        i32.load offset=8
        local.get $0
        i32.const 15
        i32.mul
        i32.add
        local.get $5
        i32.ctz
        i32.const 4
        i32.shl
        i32.add
        local.tee $9
        i64.load
        local.get $6
        i64.extend_i32_u
        i64.eq
        if
         local.get $9
         i32.const 8
         i32.add
         br $"__inlined_func$~lib/@wirelet/runtime/tableprobe/findFurther<u32,u64>"
        end
        local.get $5
        local.get $5
        i32.const 1
        i32.sub
        i32.and
        local.set $5
        br $for-loop|1
       end
      end
      local.get $0
      local.get $1
      i32.eq
      if (result i32)
       i32.const 0
      else
       local.get $11
       i32.load8_u offset=15
      end
      if
       local.get $1
       local.set $0
       br $while-continue|0
      end
     end
     i32.const 0
    end
    local.tee $0
    if (result i64)
     local.get $0
     i64.load
    else
     i64.const 0
    end
   end
   i64.store32 offset=20
   local.get $4
   i32.const 0
   i32.store8 offset=12
   local.get $7
   local.get $4
   i32.const 32
   i32.add
   local.tee $4
   i32.ne
   br_if $do-loop|0
  end
 )
