//! Keeps an eye on an interface's link while packets flow.

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::clock;

use super::{Interface, Link, Look};

/// Polls between two looks at the clock.
const POLLS: u32 = 1024;
/// Time between two looks at the interface.
const LOOK_NS: u64 = 100_000_000;

/// An interface and what was last seen of it. Its end is told once; a link comes and goes.
#[derive(Debug)]
pub(crate) struct LinkWatch {
    interface: Interface,
    link: Link,
    gone: bool,
    polls: u32,
    looked_at_ns: u64,
    error: Option<Error>,
}

impl LinkWatch {
    /// Takes a first look; a link that is down is no error yet.
    ///
    /// # Errors
    /// `WIRELET_E_INTERFACE` when it went while it was opened.
    pub(crate) fn new(mut interface: Interface) -> Result<LinkWatch, Error> {
        let Look::There(link) = interface.look() else {
            let message = format!("`{}` is gone, or just being renamed", interface.name());
            return Err(Error::new(ErrorCode::Interface, message));
        };
        let looked_at_ns = clock::now_ns();
        Ok(LinkWatch { interface, link, gone: false, polls: 0, looked_at_ns, error: None })
    }

    /// Called for every burst; whether it is time to look. Costs an addition, and now and then a
    /// look at the clock.
    #[inline]
    pub(crate) fn due(&mut self) -> bool {
        self.polls = self.polls.wrapping_add(1);
        self.polls.is_multiple_of(POLLS) && self.stale()
    }

    /// Whether the last look is so long ago that it is time for another.
    pub(crate) fn stale(&self) -> bool {
        clock::now_ns().saturating_sub(self.looked_at_ns) >= LOOK_NS
    }

    /// Looks at the interface.
    pub(crate) fn look(&mut self) {
        self.looked_at_ns = clock::now_ns();
        if self.gone {
            return;
        }
        match self.interface.look() {
            Look::There(link) => self.link = link,
            Look::Renamed => {}
            Look::Gone => self.lose(),
        }
    }

    /// The interface is not there any more, whatever now has its index.
    pub(crate) fn lose(&mut self) {
        if !self.gone {
            self.gone = true;
            self.link.up = false;
            let message = format!("`{}`", self.interface.name());
            self.error = Some(Error::new(ErrorCode::InterfaceGone, message));
        }
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Whether it will never be there again.
    pub(crate) fn gone(&self) -> bool {
        self.gone
    }

    /// What went wrong since the last call.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> LinkWatch {
        LinkWatch::new(Interface::find("lo").expect("every namespace has one")).expect("there")
    }

    #[test]
    fn what_goes_is_told_once_and_stays_gone() {
        let mut watch = watch();
        watch.lose();
        watch.lose();
        let error = watch.take_error().expect("an error");
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InterfaceGone, "`lo`"));
        watch.look();
        assert!(watch.gone() && !watch.link().up && watch.take_error().is_none());
    }

    #[test]
    fn the_clock_is_read_now_and_then_only() {
        let mut watch = watch();
        watch.looked_at_ns = 0;
        assert_eq!((0..4 * POLLS).filter(|_| watch.due()).count(), 4);
        watch.look();
        assert_eq!((0..4 * POLLS).filter(|_| watch.due()).count(), 0);
    }
}
