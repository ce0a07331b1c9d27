//! Packets as a kernel sends them when it leaves checksums to hardware.

use super::VnetHeader;
use super::checksum::sum;
use super::layout::Layout;
use crate::stamp::fold;

/// TCP with its checksum undone.
pub(super) fn tcp(ipv6: bool, tags: &[u16], payload: usize) -> (Vec<u8>, VnetHeader) {
    let mut header = [0; 20];
    header[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
    header[4..8].copy_from_slice(&0xFFFF_F000u32.to_be_bytes());
    header[12..14].copy_from_slice(&[0x50, 0x10]);
    build(ipv6, tags, 6, 16, &header, payload)
}

/// UDP with its checksum undone.
pub(super) fn udp(ipv6: bool, tags: &[u16], payload: usize) -> (Vec<u8>, VnetHeader) {
    let length = (payload + 8) as u16;
    let mut header = [0x30, 0x39, 0, 53, 0, 0, 0, 0];
    header[4..6].copy_from_slice(&length.to_be_bytes());
    build(ipv6, tags, 17, 6, &header, payload)
}

/// The same as one that stands for several.
pub(super) fn large(vnet: VnetHeader, gso_type: u8, segment_bytes: u16) -> VnetHeader {
    VnetHeader { gso_type, segment_bytes, ..vnet }
}

fn build(
    ipv6: bool,
    tags: &[u16],
    protocol: u8,
    checksum_offset: u16,
    header: &[u8],
    payload: usize,
) -> (Vec<u8>, VnetHeader) {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    tags.iter().for_each(|tag| packet.extend([[0x81, 0], tag.to_be_bytes()].concat()));
    packet.extend_from_slice(if ipv6 { &[0x86, 0xDD] } else { &[8, 0] });
    let length = (header.len() + payload) as u16;
    if ipv6 {
        packet.extend_from_slice(&[0x60, 0, 0, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend_from_slice(&[protocol, 64]);
        packet.extend((0..32).map(|byte| byte * 5 + 1));
    } else {
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend((length.wrapping_add(20)).to_be_bytes());
        packet.extend_from_slice(&[0xFF, 0xFE, 0x40, 0, 64, protocol, 0, 0]);
        packet.extend_from_slice(&[10, 1, 2, 3, 10, 200, 255, 4]);
    }
    let transport = packet.len();
    packet.extend_from_slice(header);
    packet.extend((0..payload).map(|byte| (byte * 11 + 3) as u8));
    let layout = Layout::of(&packet).expect("a packet");
    let pseudo = sum(&packet[layout.addresses()]) + u64::from(protocol) + u64::from(length);
    let at = transport + usize::from(checksum_offset);
    packet[at..at + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CHECKSUM,
        checksum_start: transport as u16,
        checksum_offset,
        ..VnetHeader::default()
    };
    (packet, vnet)
}

/// Whether lengths and all checksums of an IP packet are right, computed the slow way.
pub(crate) fn checksum_holds(packet: &[u8]) -> bool {
    let layout = Layout::of(packet).expect("an IP packet");
    let words = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        bytes.chunks(2).map(word).sum()
    };
    let length_at = layout.network + if layout.ipv6 { 4 } else { 2 };
    let from = layout.network + if layout.ipv6 { 40 } else { 0 };
    let length = usize::from(packet[length_at]) << 8 | usize::from(packet[length_at + 1]);
    let header = words(&packet[layout.network..layout.transport]);
    let transport = &packet[layout.transport..];
    let pseudo = words(&packet[layout.addresses()]) + u64::from(layout.protocol);
    // The network header of a packet whose checksum is undone is not complete here either.
    let network_holds =
        layout.ipv6 || packet[layout.network + 10..][..2] == [0, 0] || fold(header) == 0xFFFF;
    length == packet.len() - from
        && network_holds
        && fold(pseudo + transport.len() as u64 + words(transport)) == 0xFFFF
}
