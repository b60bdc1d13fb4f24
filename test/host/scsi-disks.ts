import type { Host } from './host.ts';

export interface DiskOptions {
  /** The unit serial number. Also the WWN is made of it: of its hexadecimal digits. */
  readonly serial: string;
  /** Default 64 */
  readonly sizeMiB?: number;
}

/** One that was plugged in. */
export interface Disk extends Required<DiskOptions> {
  /** Where it is on the bus; its image has the number too. */
  readonly lun: number;
  /** The kernel's name, this time: e.g. `sda`. */
  readonly name: string;
}

const IMAGES = '/var/lib/holdfast-host';
const BACKENDS = '/sys/kernel/config/target/core/fileio_0';
/** Any valid names: the one port of the bus, and who speaks to it. */
const PORT = '/sys/kernel/config/target/loopback/naa.5001405aaaaaaaaa/tpgt_1';
const INITIATOR = 'naa.5001405bbbbbbbbb';

const MAKE_BUS = `
modprobe -a tcm_loop target_core_file sd_mod
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
mkdir -p ${IMAGES} ${BACKENDS} ${PORT}
echo ${INITIATOR} >${PORT}/nexus`;

/**
 * The disks on a guest's SCSI bus: the kernel's own target (LIO) behind tcm_loop. Unlike those of scsi_debug they
 * have the serial that the test wants, and keep what was written, in a file on the guest's root disk.
 */
export class ScsiDisks {
  readonly #host: Pick<Host, 'check'>;
  #disks = 0;

  constructor(host: Pick<Host, 'check'>) {
    this.#host = host;
  }

  async plug(options: Disk | DiskOptions): Promise<Disk> {
    const { serial, sizeMiB = 64 } = options;
    const lun = 'lun' in options ? options.lun : this.#disks++;
    const [image, backend] = [`${IMAGES}/disk${lun}.img`, `${BACKENDS}/disk${lun}`];
    const name = await this.#host.check(`set -e
[ -d ${PORT} ] || { ${MAKE_BUS}
}
[ -e ${image} ] || truncate -s ${sizeMiB}M ${image}
mkdir ${backend}
echo fd_dev_name=${image},fd_dev_size=$((${sizeMiB} * 1048576)) >${backend}/control
echo 1 >${backend}/enable
echo '${serial}' >${backend}/wwn/vpd_unit_serial
mkdir ${PORT}/lun/lun_${lun}
ln -s ${backend} ${PORT}/lun/lun_${lun}/disk
while ! name=$(ls /sys/bus/scsi/devices/*:0:1:${lun}/block 2>/dev/null); do sleep 0.02; done
udevadm settle
echo "$name"`);
    return { serial, sizeMiB, lun, name };
  }

  async unplug({ lun, name }: Disk): Promise<void> {
    await this.#host.check(`set -e
rm ${PORT}/lun/lun_${lun}/disk
rmdir ${PORT}/lun/lun_${lun} ${BACKENDS}/disk${lun}
while [ -e /sys/block/${name}/device ]; do sleep 0.02; done
udevadm settle`);
  }
}
