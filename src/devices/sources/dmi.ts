import { isJunk, isPlaceholder } from '../junk.ts';
import { withoutUnknown } from '../known.ts';
import type { Tree } from './tree.ts';

/** What the firmware says of the machine; what a vendor left as the template had it is left out. */
export interface FirmwareFacts {
  readonly manufacturer?: string;
  readonly model?: string;
  /** In lower case: older kernels wrote it in upper case. */
  readonly productUuid?: string;
  readonly boardSerial?: string;
}

/** SMBIOS as the kernel decoded it at boot (drivers/firmware/dmi-id.c). */
const DMI = 'sys/class/dmi/id';
/** Boards without SMBIOS (most ARM ones) describe themselves in a device tree (ABI/testing/sysfs-firmware-ofw). */
const DEVICE_TREE = 'sys/firmware/devicetree/base';

/** The UUID and the serial number are readable by root only; others get the rest. */
export function readFirmware(tree: Tree): FirmwareFacts {
  const boardSerial =
    serial(tree.text(`${DMI}/board_serial`)) ?? serial(tree.text(`${DEVICE_TREE}/serial-number`));
  return withoutUnknown({
    manufacturer: name(tree.text(`${DMI}/sys_vendor`)),
    model: name(tree.text(`${DMI}/product_name`)) ?? name(tree.text(`${DEVICE_TREE}/model`)),
    productUuid: serial(tree.text(`${DMI}/product_uuid`))?.toLowerCase(),
    boardSerial,
  });
}

function serial(text: string | undefined): string | undefined {
  return text === undefined || isJunk(text) ? undefined : text;
}

function name(text: string | undefined): string | undefined {
  return text === undefined || isPlaceholder(text) ? undefined : text;
}
