//! Descriptors sent from one process to another over a local socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    recvmsg, sendmsg, socketpair, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage,
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Most descriptors in one message.
const MOST: usize = 3;

/// Two ends of a socket that keeps messages apart.
///
/// # Errors
/// There are no descriptors left.
pub fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (unix, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socketpair(unix, kind, SocketFlags::CLOEXEC, None)?)
}

/// # Errors
/// The other end is gone.
pub fn send(socket: impl AsFd, files: &[BorrowedFd<'_>]) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    sendmsg(
        socket,
        &[IoSlice::new(b"f")],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Waits for the next message; no descriptors if it has none.
///
/// # Errors
/// The other end is gone.
pub fn receive(socket: impl AsFd) -> std::io::Result<Vec<OwnedFd>> {
    let mut byte = [0u8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let message = &mut [IoSliceMut::new(&mut byte)];
    let received = recvmsg(socket, message, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let mut files = Vec::new();
    for part in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = part {
            files.extend(sent);
        }
    }
    Ok(files)
}
