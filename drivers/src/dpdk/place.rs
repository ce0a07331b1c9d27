//! Where a device is, and whether something is there now.

use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wirelet_abi::plugin::PortInfo;

/// How often a place that is empty is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a device that is there and did not open is tried.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// Where a device is looked for that was taken out.
#[derive(Debug)]
pub(super) enum Place {
    /// In /sys, the link to the kernel's driver, and which one it was: DPDK works through it.
    Pci { link: PathBuf, driver: OsString },
    /// The kernel's interface of this name, in the namespace of EAL's thread.
    Interface(CString),
    /// Nobody tells when such a device is there: it stays closed.
    Nowhere,
}

/// A place that is watched, and when to try what is there. EAL's thread has it.
#[derive(Debug)]
pub(super) struct Watch {
    place: Place,
    /// What was there at the last look, by a number that another device has another of.
    there: Option<u64>,
    looked: Instant,
    /// When it was last tried; `None`: not again until something else is there.
    tried: Option<Instant>,
    /// Whether somebody was told why what is there does not open.
    told: bool,
}

impl Place {
    /// Of a device that has just been opened.
    pub(super) fn of(info: &PortInfo) -> Place {
        let text = |bytes| CStr::from_bytes_until_nul(bytes).unwrap_or_default().to_owned();
        let (pci, interface) = (text(&info.pci), text(&info.interface));
        if !interface.is_empty() {
            return Place::Interface(interface);
        }
        Place::on_bus(Path::new("/sys/bus/pci/devices"), &pci.to_string_lossy())
    }

    fn on_bus(devices: &Path, name: &str) -> Place {
        let link = devices.join(name).join("driver");
        match driver(&link) {
            Some(driver) if !name.is_empty() => Place::Pci { link, driver },
            _ => Place::Nowhere,
        }
    }

    /// What is there: the kernel's number of the interface, or of the link to the driver, which is
    /// made anew whenever a device is bound.
    fn there(&self) -> Option<u64> {
        match self {
            Place::Pci { link, driver: wanted } => {
                let bound = driver(link).is_some_and(|driver| driver == *wanted);
                bound.then(|| fs::symlink_metadata(link).ok().map(|link| link.ino()))?
            }
            Place::Interface(name) => {
                // SAFETY: the name is a C string that lives during the call.
                let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
                (index != 0).then_some(index.into())
            }
            Place::Nowhere => None,
        }
    }
}

fn driver(link: &Path) -> Option<OsString> {
    Some(fs::read_link(link).ok()?.file_name()?.to_owned())
}

impl Watch {
    /// Of a device that is there. On EAL's thread.
    pub(super) fn new(place: Place) -> Watch {
        let there = place.there();
        Watch { place, there, looked: Instant::now(), tried: None, told: false }
    }

    /// The device was taken out.
    pub(super) fn begin(&mut self) {
        // The kernel may not have done with it. What is as it was ten seconds later is a device
        // that was lost in place, and may be found again.
        (self.tried, self.told) = (Some(Instant::now()), false);
        // An interface was seen to be gone: whatever has its name came after that.
        if matches!(self.place, Place::Interface(_)) {
            self.there = None;
        }
    }

    /// Whether to try now what is there.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now.duration_since(self.looked) < LOOK_EVERY {
            return false;
        }
        self.looked = now;
        let before = std::mem::replace(&mut self.there, self.place.there());
        let is_new = self.there != before;
        if is_new {
            (self.tried, self.told) = (None, false);
        }
        let waited = self.tried.is_some_and(|tried| now.duration_since(tried) >= TRY_EVERY);
        self.there.is_some() && (is_new || waited)
    }

    /// It does not open: once more in ten seconds, or never. True when nobody was told why.
    pub(super) fn refused(&mut self, again: bool, now: Instant) -> bool {
        self.tried = again.then_some(now);
        !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree like /sys/bus/pci/devices with one device.
    struct Bus(PathBuf);

    impl Bus {
        fn new(name: &str) -> Bus {
            let bus = Bus(std::env::temp_dir().join(format!("{name}-{}", std::process::id())));
            fs::create_dir_all(bus.0.join("0000:01:00.0")).expect("a folder");
            bus
        }

        fn bind(&self, driver: &str) {
            let link = self.0.join("0000:01:00.0/driver");
            // The next link must not get the number of this one, as in /sys it does not.
            let _ = fs::rename(&link, self.0.join(format!("before {driver}")));
            symlink(format!("../drivers/{driver}"), link).expect("a link");
        }

        fn unbind(&self) {
            fs::rename(self.0.join("0000:01:00.0/driver"), self.0.join("was")).expect("renamed");
        }
    }

    impl Drop for Bus {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A second later, and one more.
    fn due(watch: &mut Watch) -> bool {
        let now = watch.looked + LOOK_EVERY;
        assert!(!watch.is_due(watch.looked + LOOK_EVERY / 2), "too early");
        watch.is_due(now)
    }

    #[test]
    fn a_device_is_tried_when_it_is_bound_again_to_its_driver() {
        let bus = Bus::new("wirelet-place");
        assert!(matches!(Place::on_bus(&bus.0, "0000:01:00.0"), Place::Nowhere), "not bound");
        bus.bind("vfio-pci");
        let place = Place::on_bus(&bus.0, "0000:01:00.0");
        let mut watch = Watch::new(place);
        watch.begin();
        assert!(!due(&mut watch), "still being let go");
        bus.unbind();
        assert!(!due(&mut watch), "nothing there");
        bus.bind("e1000e");
        assert!(!due(&mut watch), "the kernel's own");
        bus.bind("vfio-pci");
        assert!(due(&mut watch), "bound again");
        // Bound twice between two looks.
        watch.begin();
        bus.bind("vfio-pci");
        assert!(due(&mut watch));
        assert!(matches!(Place::on_bus(&bus.0, ""), Place::Nowhere));
    }

    #[test]
    fn what_does_not_open_is_told_once_and_tried_now_and_then() {
        let bus = Bus::new("wirelet-refused");
        bus.bind("vfio-pci");
        let mut watch = Watch::new(Place::on_bus(&bus.0, "0000:01:00.0"));
        watch.begin();
        bus.bind("vfio-pci");
        assert!(due(&mut watch));
        let (mut tries, first) = (0, watch.looked);
        assert!(watch.refused(true, first), "told");
        while watch.looked < first + 3 * TRY_EVERY {
            if due(&mut watch) {
                tries += 1;
                assert!(!watch.refused(true, watch.looked), "told again");
            }
        }
        assert_eq!(tries, 3);
        // What can't ever do is left alone, until it is another.
        watch.refused(false, watch.looked);
        assert!(!(0..30).any(|_| due(&mut watch)));
        bus.bind("vfio-pci");
        assert!(due(&mut watch) && watch.refused(false, watch.looked), "another one");
        // As it was, and nobody took it away: lost in place.
        watch.begin();
        watch.tried = Some(watch.looked);
        let seconds = (0..30).take_while(|_| !due(&mut watch)).count();
        assert_eq!(seconds, 9);
    }
}
