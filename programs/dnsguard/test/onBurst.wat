 (func $programs/dnsguard/wirelet-entry/onBurst (param $0 i32)
  (local $1 i32)
  (local $2 i32)
  (local $3 i32)
  (local $4 i32)
  (local $5 i32)
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
   local.set $0
   block $~lib/@wirelet/runtime/transport/Transport.find|inlined.0
    local.get $1
    i32.load16_u offset=4
    i32.const 42
    i32.ge_u
    if (result i32)
     local.get $0
     i32.load offset=12
     i32.const 16777215
     i32.and
     i32.const 4521992
     i32.eq
    else
     i32.const 0
    end
    if
     local.get $0
     i32.const 34
     i32.add
     i32.const 0
     local.get $0
     i32.load offset=20
     i32.const -16711905
     i32.and
     i32.const 285212672
     i32.eq
     select
     local.set $0
     br $~lib/@wirelet/runtime/transport/Transport.find|inlined.0
    end
    i32.const 0
    local.set $0
    block $__inlined_func$~lib/@wirelet/runtime/transport/search$108
     i32.const 1
     local.get $1
     call $~lib/@wirelet/runtime/ippayload/IpPayload.of
     local.tee $2
     i32.const 67108864
     i32.and
     local.get $2
     if (result i32)
      local.get $2
      i32.const 16
      i32.shr_u
      i32.const 255
      i32.and
      i32.const 17
      i32.ne
     else
      i32.const 1
     end
     select
     br_if $__inlined_func$~lib/@wirelet/runtime/transport/search$108
     local.get $1
     i64.load16_u offset=4
     local.get $2
     i32.const 65535
     i32.and
     local.tee $2
     i64.extend_i32_u
     i64.const 8
     i64.add
     i64.lt_u
     br_if $__inlined_func$~lib/@wirelet/runtime/transport/search$108
     local.get $1
     i32.load
     local.get $2
     i32.add
     local.set $0
    end
   end
   local.get $1
   local.get $0
   if (result i32)
    local.get $0
    i32.load16_u offset=2
    i32.const 13568
    i32.eq
   else
    i32.const 0
   end
   if (result i32)
    block $__inlined_func$programs/dnsguard/index/onDns$3 (result i32)
     block $folding-inner1
      local.get $0
      local.get $1
      i32.load
      local.tee $2
      i32.sub
      local.tee $4
      local.get $0
      i32.load16_u offset=4
      local.tee $0
      i32.const 8
      i32.shl
      local.get $0
      i32.const 8
      i32.shr_u
      i32.or
      i32.const 65535
      i32.and
      i32.add
      local.tee $0
      local.get $1
      i32.load16_u offset=4
      local.tee $5
      local.get $0
      local.get $5
      i32.lt_u
      select
      local.tee $5
      local.get $4
      i32.const 8
      i32.add
      local.tee $0
      i32.const 12
      i32.add
      i32.lt_u
      br_if $folding-inner1
      block $folding-inner0
       local.get $1
       i64.load16_u offset=4
       local.get $0
       i32.const 2
       i32.add
       local.tee $4
       i64.extend_i32_u
       i64.const 1
       i64.add
       i64.lt_u
       br_if $folding-inner0
       i32.const 0
       local.get $2
       local.get $4
       i32.add
       i32.load8_u
       i32.const 248
       i32.and
       br_if $__inlined_func$programs/dnsguard/index/onDns$3
       drop
       global.get $programs/dnsguard/index/queries
       local.tee $2
       local.get $2
       i64.load
       i64.const 1
       i64.add
       i64.store
       local.get $1
       i64.load16_u offset=4
       local.get $0
       i32.const 4
       i32.add
       local.tee $2
       i64.extend_i32_u
       i64.const 2
       i64.add
       i64.lt_u
       br_if $folding-inner0
       local.get $2
       local.get $1
       i32.load
       i32.add
       i32.load16_u
       local.tee $2
       i32.const 8
       i32.shl
       local.get $2
       i32.const 8
       i32.shr_u
       i32.or
       i32.const 65535
       i32.and
       local.tee $4
       i32.eqz
       local.get $4
       i32.const 4
       i32.gt_u
       i32.or
       br_if $folding-inner1
       local.get $0
       i32.const 12
       i32.add
       local.set $2
       i32.const 0
       local.set $0
       loop $for-loop|0
        local.get $0
        local.get $4
        i32.lt_u
        if
         global.get $programs/dnsguard/index/names
         local.get $1
         local.get $2
         local.get $5
         call $programs/dnsguard/names/Names#has
         if
          global.get $programs/dnsguard/index/blocked
          local.tee $0
          local.get $0
          i64.load
          i64.const 1
          i64.add
          i64.store
          i32.const 1
          br $__inlined_func$programs/dnsguard/index/onDns$3
         end
         global.get $programs/dnsguard/index/names
         i32.load offset=4
         local.tee $2
         i32.const 4
         i32.add
         local.get $5
         i32.gt_u
         i32.const 1
         local.get $2
         select
         br_if $folding-inner1
         local.get $2
         i32.const 4
         i32.add
         local.set $2
         local.get $0
         i32.const 1
         i32.add
         local.set $0
         br $for-loop|0
        end
       end
       i32.const 0
       br $__inlined_func$programs/dnsguard/index/onDns$3
      end
      call $~lib/@wirelet/runtime/wirelet/abort
      unreachable
     end
     global.get $programs/dnsguard/index/malformed
     local.tee $0
     local.get $0
     i64.load
     i64.const 1
     i64.add
     i64.store
     global.get $programs/dnsguard/index/malformedVerdict
    end
   else
    i32.const 0
   end
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
