//! TLS: who is believed, by whom.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use shmsync::{Error, ErrorKind, Sync};

use crate::{common::LONG, server::Server};

/// Certificates made for a test, by `openssl`.
struct Papers {
    folder: tempfile::TempDir,
}

impl Papers {
    /// An authority, and another one.
    fn new() -> Self {
        let papers = Self { folder: tempfile::tempdir().unwrap() };
        for authority in ["ca", "stranger"] {
            let (key, certificate) =
                (papers.file(&format!("{authority}.key")), papers.file(&format!("{authority}.pem")));
            let subject = format!("/CN=test {authority}");
            openssl(
                &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
                |command| {
                    command
                        .args(["-days", "2", "-subj", &subject])
                        .arg("-keyout")
                        .arg(key)
                        .arg("-out")
                        .arg(certificate);
                },
            );
        }
        papers
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    /// A certificate for such names, from the authority; and its key.
    fn issue(&self, whose: &str, names: &str) {
        let (request, extensions) = (self.file("request"), self.file("extensions"));
        std::fs::write(&extensions, format!("subjectAltName={names}\n")).unwrap();
        openssl(&["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"], |command| {
            command.args(["-subj", &format!("/CN={whose}")]).arg("-out").arg(&request);
            command.arg("-keyout").arg(self.file(&format!("{whose}.key")));
        });
        openssl(&["x509", "-req", "-days", "2", "-CAcreateserial"], |command| {
            command.arg("-in").arg(&request).arg("-extfile").arg(&extensions);
            command.arg("-CA").arg(self.file("ca.pem")).arg("-CAkey").arg(self.file("ca.key"));
            command.arg("-out").arg(self.file(&format!("{whose}.pem")));
        });
    }

    /// An etcd with that certificate, once it answers whoever may ask it so.
    fn serve(&self, whose: &str, flags: &[&str], options: &str) -> Option<Server> {
        let (certificate, key) = (self.text(&format!("{whose}.pem")), self.text(&format!("{whose}.key")));
        let server = Server::start_with_tls(&[&["--cert-file", &certificate, "--key-file", &key], flags].concat())?;
        let end = Instant::now() + LONG;
        while let Err(error) = self.open(&server, &format!("{options}&connect=1s")) {
            assert!(Instant::now() < end, "it does not answer: {error}");
        }
        Some(server)
    }

    fn open(&self, server: &Server, options: &str) -> Result<Sync, Error> {
        let options = options.replace("FOLDER", self.folder.path().to_str().unwrap());
        Sync::open(format!("etcds://127.0.0.1:{}/x?{options}", server.port))
    }

    /// That it is refused, with the host, why, and what to do.
    fn refused(&self, server: &Server, options: &str) -> String {
        let begun = Instant::now();
        let error = self.open(server, &format!("{options}&connect=2s")).map(drop).unwrap_err();
        assert!(begun.elapsed() < LONG / 4, "it takes {:?}", begun.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("127.0.0.1:{}", server.port)), "{text}");
        text
    }
}

fn openssl(words: &[&str], more: impl FnOnce(&mut Command)) {
    let mut command = Command::new("openssl");
    more(command.args(words).stdin(Stdio::null()).stdout(Stdio::null()));
    let output = command.stderr(Stdio::piped()).output().expect("openssl (Debian: openssl)");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_certificate_of_the_authority_is_believed_and_no_other_one() {
    let papers = Papers::new();
    papers.issue("server", "IP:127.0.0.1");
    let Some(server) = papers.serve("server", &[], "ca=FOLDER/ca.pem") else { return };
    let store = papers.open(&server, "ca=FOLDER/ca.pem").unwrap();
    store.set("k", &1).unwrap();
    assert_eq!(store.integer("k").increment(1).unwrap(), 2);
    let guard = store.lock("k").unwrap().acquire().unwrap();
    assert!(guard.release().unwrap());
    let text = papers.refused(&server, "ca=FOLDER/stranger.pem");
    assert!(text.contains("certificate") && text.contains("check the options ca, name"), "{text}");
    // Without TLS nobody is understood there.
    let plain = Sync::open(format!("etcd://127.0.0.1:{}/x?connect=1s", server.port)).map(drop).unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Unreachable, "{plain}");
    let missing = papers.open(&server, "ca=FOLDER/nowhere.pem").map(drop).unwrap_err();
    assert!(missing.kind() == ErrorKind::Io && missing.to_string().contains("nowhere.pem"), "{missing}");
    let none = papers.open(&server, "timeout=1s").map(drop).unwrap_err();
    assert!(none.kind() == ErrorKind::Invalid && none.to_string().contains("ca"), "{none}");
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_that_name_is_expected() {
    let papers = Papers::new();
    papers.issue("other", "DNS:other.example");
    let options = "ca=FOLDER/ca.pem&name=other.example";
    let Some(server) = papers.serve("other", &[], options) else { return };
    papers.open(&server, options).unwrap().set("k", &1).unwrap();
    assert!(papers.refused(&server, "ca=FOLDER/ca.pem").contains("certificate"));
    assert!(papers.refused(&server, "ca=FOLDER/ca.pem&name=third.example").contains("certificate"));
}

#[test]
fn who_has_to_show_a_certificate_is_refused_without_it() {
    let papers = Papers::new();
    papers.issue("server", "IP:127.0.0.1");
    papers.issue("client", "DNS:client");
    let authority = papers.text("ca.pem");
    let flags = ["--client-cert-auth", "--trusted-ca-file", &authority];
    let options = "ca=FOLDER/ca.pem&cert=FOLDER/client.pem&key=FOLDER/client.key";
    let Some(server) = papers.serve("server", &flags, options) else { return };
    papers.open(&server, options).unwrap().set("k", &1).unwrap();
    papers.refused(&server, "ca=FOLDER/ca.pem");
}
