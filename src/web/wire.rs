//! Connections without TLS: what HTTP/1.1 writes goes through buffers, a body's bytes from files go from the page cache to the
//! socket (sendfile(2)).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::library::read::FileRange;

/// Where a response's body leaves what its connection shall send behind everything that was written before.
#[derive(Default)]
pub struct Handover(RefCell<Option<FileRange>>);

impl Handover {
    /// Has `range` sent; the body is polled again when that is done.
    pub fn offer(&self, range: FileRange) {
        *self.0.borrow_mut() = Some(range);
    }

    pub fn is_done(&self) -> bool {
        self.0.borrow().is_none()
    }
}

/// A TCP connection.
pub struct Wire {
    stream: TcpStream,
    handover: Rc<Handover>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Wire {
        Wire { stream, handover: Rc::default() }
    }

    pub fn handover(&self) -> Rc<Handover> {
        self.handover.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    /// What is followed by a file waits for it, so that both leave in one packet: MSG_MORE of send(2).
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Wire { stream, handover } = &mut *self;
        if handover.is_done() {
            return Pin::new(stream).poll_write(context, bytes);
        }
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream
                .try_io(Interest::WRITABLE, || Ok(send(&*stream, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?))
            {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// The framework flushes when its own buffer is empty, so that all that goes before the file is with the socket already.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Wire { stream, handover } = &mut *self;
        let mut offered = handover.0.borrow_mut();
        let Some(range) = &mut *offered else { return Pin::new(stream).poll_flush(context) };
        while range.length > 0 {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_io(Interest::WRITABLE, || range.send(&*stream)) {
                Ok(sent) => range.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        *offered = None;
        context.waker().wake_by_ref(); // the body goes on
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
