//! Packets, the frames they live in, and how they move between lcores.
//!
//! - [`Mbuf`]: native handle of one packet. It never leaves native memory.
//! - [`Region`]: the frames, in memory that programs see too.
//! - [`FrameCache`]: an lcore's private stock of free frames.
//! - [`ring`]: single-producer single-consumer rings between lcores.
//! - [`Waker`]: how a sleeping lcore is woken.
//! - [`clock`]: cycles and nanoseconds.

mod backing;
pub mod clock;
pub mod ethertype;
mod mbuf;
mod numa;
mod pool;
mod region;
pub mod ring;
mod waker;

pub use backing::{ALIAS_BYTES, Backing, Pages};
pub use mbuf::Mbuf;
pub use pool::FrameCache;
pub use region::{FrameState, Region, RegionConfig};
pub use waker::Waker;
