//! What it takes to open a port once more as it was, when its device is back. All of it is done by
//! EAL's thread.

use std::ffi::CString;
use std::ptr;

use wirelet_abi::plugin::{self, Flow, MESSAGE_BYTES, PortConfig, PortInfo, Table};

use super::eal::text;
use super::place::{Place, Watch};
use super::seen::Before;

/// What is asked of DPDK.
#[derive(Debug)]
pub(super) struct Asked {
    devargs: CString,
    /// Its `devargs` is set at each opening.
    config: PortConfig,
}

// SAFETY: its pool outlives the opening: whoever has the port opened has the pool.
unsafe impl Send for Asked {}

/// Between EAL's thread and who asked it.
pub(super) struct Raw(pub(super) *mut plugin::Port);
// SAFETY: only EAL's thread does anything with it.
unsafe impl Send for Raw {}

/// A port that was opened.
#[derive(Debug)]
pub(super) struct Again {
    asked: Asked,
    driver: [u8; 64],
    rss: bool,
    /// What the device carries out, and whether it counts that.
    flows: (Vec<Flow>, bool),
    /// What the devices before this one have counted.
    pub(super) before: Before,
    pub(super) watch: Watch,
}

/// Why a device that is there again is not opened.
pub(super) struct Refusal {
    pub(super) message: String,
    /// Whether it may be another time.
    pub(super) again: bool,
}

impl Asked {
    pub(super) fn new(devargs: CString, config: PortConfig) -> Asked {
        Asked { devargs, config }
    }

    /// Plugs and starts the device.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn plug(&self, table: &Table) -> Result<(Raw, PortInfo), String> {
        let config = PortConfig { devargs: self.devargs.as_ptr(), ..self.config };
        let (mut raw, mut message) = (ptr::null_mut(), [0; MESSAGE_BYTES]);
        // SAFETY: all zeros are a PortInfo: it is integers.
        let mut info: PortInfo = unsafe { std::mem::zeroed() };
        let out = &raw mut raw;
        // SAFETY: the config's pointers stay until this returns: the caller has the pool. The
        // message has its room.
        let status =
            unsafe { (table.open_port)(&config, out, &raw mut info, message.as_mut_ptr()) };
        if status == 0 { Ok((Raw(raw), info)) } else { Err(text(&message)) }
    }
}

impl Again {
    /// Of a device that has just been opened.
    pub(super) fn new(mut asked: Asked, info: &PortInfo, before: Before, watch: Watch) -> Again {
        // Lcores have as many.
        asked.config.queues = info.queues;
        let (driver, rss, flows) = (info.driver, info.rss != 0, (Vec::new(), false));
        Again { asked, driver, rss, flows, before, watch }
    }

    /// Opens what is there, if lcores can go on with it as they did with the one before.
    ///
    /// # Errors
    /// Why not; then nothing is open.
    pub(super) fn open(&mut self, table: &Table) -> Result<(Raw, PortInfo), Refusal> {
        let plugged = self.asked.plug(table);
        let (Raw(raw), info) = plugged.map_err(|message| Refusal { message, again: true })?;
        // SAFETY: DPDK has the port.
        let checked = self.check(&info).and_then(|()| unsafe { self.put_again(table, raw) });
        if let Err(message) = checked {
            // SAFETY: DPDK has the port, and nobody else knows of it.
            unsafe { (table.close_port)(raw) };
            return Err(Refusal { message, again: false });
        }
        self.watch = Watch::new(Place::of(&info));
        Ok((Raw(raw), info))
    }

    fn check(&self, info: &PortInfo) -> Result<(), String> {
        if info.driver != self.driver {
            let [now, before] = [&info.driver, &self.driver]
                .map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
            return Err(format!("its driver is {now}, and the one before had {before}"));
        }
        let queues = self.asked.config.queues;
        if info.queues < queues {
            return Err(format!("of {queues} queues it has {}", info.queues));
        }
        if self.rss && info.rss == 0 {
            return Err("it does not spread flows over its queues".into());
        }
        Ok(())
    }

    /// Has the device carry out `flows`, all or none; whether it counts them.
    ///
    /// # Safety
    /// DPDK has the port.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) unsafe fn put(
        &mut self,
        table: &Table,
        raw: *mut plugin::Port,
        flows: Vec<Flow>,
    ) -> Result<bool, String> {
        // SAFETY: the caller's promise.
        let counted = unsafe { put(table, raw, &flows) }?;
        self.flows = (flows, counted);
        Ok(counted)
    }

    /// Has a device carry out what the one before it did: no rule may stop without a word.
    ///
    /// # Safety
    /// DPDK has the port.
    ///
    /// # Errors
    /// Why it does not.
    unsafe fn put_again(&self, table: &Table, raw: *mut plugin::Port) -> Result<(), String> {
        let (flows, counted) = &self.flows;
        if flows.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        match unsafe { put(table, raw, flows) } {
            Ok(counts) if counts == *counted => Ok(()),
            Ok(_) => Err("it does not count rules as the one before did".into()),
            Err(why) => Err(format!("it does not carry out the rules of the one before: {why}")),
        }
    }
}

/// # Safety
/// DPDK has the port.
unsafe fn put(table: &Table, raw: *mut plugin::Port, flows: &[Flow]) -> Result<bool, String> {
    let (mut counted, mut message) = (false, [0; MESSAGE_BYTES]);
    let count = flows.len() as u32;
    // SAFETY: the caller's promise. The flows outlive the call, and the message has its room.
    let status = unsafe {
        (table.take_flows)(raw, flows.as_ptr(), count, &raw mut counted, message.as_mut_ptr())
    };
    if status == 0 { Ok(counted) } else { Err(text(&message)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpdk::seen::{Seen, names_of};

    fn info(driver: &str, queues: u16, rss: u32) -> PortInfo {
        // SAFETY: all zeros are a PortInfo: it is integers.
        let mut info: PortInfo = unsafe { std::mem::zeroed() };
        info.driver[..driver.len()].copy_from_slice(driver.as_bytes());
        PortInfo { queues, rss, ..info }
    }

    #[test]
    fn lcores_go_on_with_the_same_driver_and_as_many_queues() {
        // SAFETY: all zeros are a PortConfig: integers, and pointers that nobody follows.
        let config: PortConfig = unsafe { std::mem::zeroed() };
        let first = info("net_ixgbe", 2, 1);
        let before = Seen::new().begin(&first, names_of(&first));
        let asked = Asked::new(CString::default(), config);
        let again = Again::new(asked, &first, before, Watch::new(Place::of(&first)));
        assert_eq!(again.asked.config.queues, 2, "as many as there are lcores for");
        assert_eq!(again.check(&info("net_ixgbe", 2, 1)), Ok(()));
        for (other, why) in [
            (info("net_iavf", 2, 1), "its driver is net_iavf, and the one before had net_ixgbe"),
            (info("net_ixgbe", 1, 1), "of 2 queues it has 1"),
            (info("net_ixgbe", 2, 0), "it does not spread flows over its queues"),
        ] {
            assert_eq!(again.check(&other), Err(why.to_owned()));
        }
    }
}
