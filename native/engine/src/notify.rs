//! A word to the service manager: a datagram to the socket that `NOTIFY_SOCKET` names
//! (sd_notify(3)). Node.js has no unix datagram sockets.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use wirelet_abi::{Error, ErrorCode};

/// Sends `state`, lines such as `READY=1`, to `socket`: a path, or a name of the abstract namespace
/// after an `@`. Does not wait: false when there is no room.
///
/// # Errors
/// `WIRELET_E_CONTROL` when nobody listens there.
pub fn notify(socket: &str, state: &str) -> Result<bool, Error> {
    let send = || {
        let address = match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(socket)?,
        };
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        sender.send_to_addr(state.as_bytes(), &address)
    };
    match send() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(Error::new(ErrorCode::Control, format!("{socket}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_arrives_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("wirelet-notify-{}", std::process::id()));
        let name = format!("wirelet-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let by_name = UnixDatagram::bind_addr(&abstract_name).expect("a socket");
        let sockets = [(by_path, path.display().to_string()), (by_name, format!("@{name}"))];
        for (socket, address) in &sockets {
            assert!(notify(address, "READY=1\nSTATUS=all is well").expect("sent"));
            let mut buffer = [0; 100];
            let bytes = socket.recv(&mut buffer).expect("a datagram");
            assert_eq!(&buffer[..bytes], b"READY=1\nSTATUS=all is well");
        }
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn nobody_there_is_an_error_and_a_full_queue_is_not() {
        let error = notify("/nowhere/notify", "READY=1").expect_err("no socket");
        assert_eq!(error.code, ErrorCode::Control);
        let name = format!("wirelet-notify-full-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let _deaf = UnixDatagram::bind_addr(&address).expect("a socket");
        let sent = (0..100_000).take_while(|_| notify(&format!("@{name}"), "X=1") == Ok(true));
        assert!(sent.count() < 100_000, "it does not wait");
    }
}
