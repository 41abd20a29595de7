//! iceoryx2's blackboard: values of one fixed size under keys that are all known beforehand, one writer. Handles are
//! looked up once and kept, as it is meant to be used; no key is looked up while the time runs.

use std::path::Path;

use iceoryx2::{
    port::{reader::EntryHandle, reader::Reader, writer::EntryHandleMut, writer::Writer},
    prelude::{Config, LogLevel, NodeBuilder, SemanticString, ipc, set_log_level},
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
}

impl Iceoryx {
    pub(crate) fn new(folder: &Path, keys: usize) -> Outcome<Self> {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        config.global.set_root_path(&iceoryx2::prelude::Path::new(folder.as_os_str().as_encoded_bytes())?);
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
        Ok(Self { readers, writers, _ports: (reader, writer), _service: service })
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
