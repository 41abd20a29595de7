//! iceoryx2's blackboard: values of one fixed size under keys that are all known beforehand, one writer. Handles are
//! looked up once and kept, as it is meant to be used; no key is looked up while the time runs.

use std::{fs, path::Path};

use iceoryx2::{
    port::{reader::EntryHandle, reader::Reader, writer::EntryHandleMut, writer::Writer},
    prelude::{Config, FileName, LogLevel, NodeBuilder, Path as IceoryxPath, SemanticString, ipc, set_log_level},
    service::port_factory::blackboard::PortFactory,
};

use super::Peer;
use crate::{
    failure::{Outcome, fail},
    keys::Key,
};

type Bytes = [u8; 64];

pub(crate) struct Iceoryx {
    readers: Vec<EntryHandle<ipc::Service, u64, Bytes>>,
    writers: Vec<EntryHandleMut<ipc::Service, u64, Bytes>>,
    _ports: (Reader<ipc::Service, u64>, Writer<ipc::Service, u64>),
    _service: PortFactory<ipc::Service, u64>,
    /// Dropped last.
    _files: Files,
}

/// What all files in `/dev/shm` that iceoryx2 makes for this process begin with. One of them it leaves there.
struct Files(String);

impl Drop for Files {
    fn drop(&mut self) {
        for file in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if file.file_name().as_encoded_bytes().starts_with(self.0.as_bytes()) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

impl Iceoryx {
    pub(crate) fn new(folder: &Path, keys: usize) -> Outcome<Self> {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        let files = Files(format!("shmsync-compare-{}-iceoryx2-", std::process::id()));
        config.global.prefix = FileName::new(files.0.as_bytes())?;
        config.global.set_root_path(&IceoryxPath::new(folder.as_os_str().as_encoded_bytes())?);
        let node = NodeBuilder::new().config(&config).create::<ipc::Service>()?;
        let name = format!("shmsync-compare-{}", std::process::id());
        let mut creator = node.service_builder(&name.as_str().try_into()?).blackboard_creator::<u64>();
        for key in 0..keys as u64 {
            creator = creator.add::<Bytes>(key, [0; 64]);
        }
        let service = creator.create()?;
        let (reader, writer) = (service.reader_builder().create()?, service.writer_builder().create()?);
        let readers = (0..keys as u64).map(|key| reader.entry(&key)).collect::<Result<_, _>>()?;
        let writers = (0..keys as u64).map(|key| writer.entry(&key)).collect::<Result<_, _>>()?;
        Ok(Self { readers, writers, _ports: (reader, writer), _service: service, _files: files })
    }
}

impl Peer for Iceoryx {
    const NAME: &'static str = "iceoryx2";

    #[inline]
    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        let value = self.readers[key.number].get();
        into.clear();
        into.extend_from_slice(&*value);
        Ok(())
    }

    #[inline]
    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        let Ok(value) = value.try_into() else { return fail("iceoryx2 has values of 64 bytes here") };
        self.writers[key.number].update_with_copy(value);
        Ok(())
    }
}
