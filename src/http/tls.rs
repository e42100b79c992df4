//! HTTPS on the same front: what encrypts sits between a socket and its connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{Stream, Wrap};

/// Streams that prove who they are with a chain of certificates, and its key, from files of PEM.
///
/// Errors: a file cannot be read, or has not what it should have.
pub fn wrap(certificate: &Path, key: &Path) -> Result<Wrap, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|error| told(certificate, &error))?.collect();
    let chain = chain.map_err(|error| told(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| told(certificate, &error))?;
    let config = Arc::new(config);
    Ok(Arc::new(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        Ok(Box::new(Encrypted(StreamOwned::new(connection, socket))))
    }))
}

/// A socket whose bytes are encrypted.
struct Encrypted(StreamOwned<ServerConnection, TcpStream>);

impl Read for Encrypted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Encrypted {
    fn socket(&self) -> &TcpStream {
        &self.0.sock
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        // A client that takes nothing more does not get to know.
        let _told = self.0.flush();
        self.0.sock.shutdown(Shutdown::Write)
    }
}
