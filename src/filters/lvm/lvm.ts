import { BlockError, UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { readLabel } from '../../formats/lvm/label.ts';
import { type VolumeGroup, volumeGroups } from '../../formats/lvm/volume-group.ts';

export default defineFilter({
  name: 'lvm',
  description: 'a logical volume of a disk that is an LVM physical volume',
  parameters: {
    lv: { type: 'string', required: true, help: 'GROUP/VOLUME, or VOLUME' },
  },
  create({ lv }, below) {
    const [volume, group, ...others] = lv
      .replace(/^\/dev\//, '')
      .split('/')
      .reverse();
    if (!volume || others.length > 0) throw new UsageError(`lv: ${lv}: expected GROUP/VOLUME`);
    return wrapSource(below, async (disk, { signal }) => {
      const label = await readLabel(disk, { signal });
      if (!label) throw new BlockError('EIO', 'the disk is no LVM physical volume');
      const found = volumeIn(volumeGroups([{ label, device: disk }]), group, volume);
      return wrapDevice(found.open(), { ...PASS, close: () => disk.close?.() });
    });
  },
});

function volumeIn(groups: readonly VolumeGroup[], group: string | undefined, name: string) {
  const own = groups.filter(candidate => group === undefined || candidate.name === group);
  const volumes = own.flatMap(({ logicalVolumes }) => logicalVolumes);
  const found = volumes.find(volume => volume.name === name);
  if (found) return found;
  const all = groups.flatMap(each =>
    each.logicalVolumes.map(volume => `${each.name}/${volume.name}`),
  );
  throw new BlockError(
    'EIO',
    `there is no logical volume ${name}: there is ${all.join(', ') || 'none'}`,
  );
}
