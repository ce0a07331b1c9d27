//! `layout!`: a `#[repr(C)]` struct whose size and offsets are checked at compile time and can be
//! read by the generator.

/// One field of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, as in Rust.
    pub name: &'static str,
    /// Rust type, as text.
    pub ty: &'static str,
    /// Bytes from the start of the struct.
    pub offset: usize,
}

/// A struct's name, size in bytes and fields.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name, as in Rust.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Fields in order.
    pub fields: &'static [Field],
}

macro_rules! layout {
    ($(#[$meta:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_meta:meta])* $field:ident: $ty:ty = $offset:literal,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty,)* }

        const _: () = assert!(size_of::<$name>() == $size);
        $(const _: () = assert!(core::mem::offset_of!($name, $field) == $offset);)*

        impl $name {
            /// Name, size and fields, for the generator.
            pub const LAYOUT: $crate::Layout = $crate::Layout {
                name: stringify!($name),
                size: $size,
                fields: &[$($crate::Field {
                    name: stringify!($field),
                    ty: stringify!($ty),
                    offset: $offset,
                },)*],
            };
        }
    };
}
pub(crate) use layout;
