import { readFile } from 'node:fs/promises';
import { HoldfastError, messageOf } from '../../base/errors.ts';

/** All of a file; of standard input for `-` or nothing. @throws InvalidArgument */
export async function readInput(file: string | undefined): Promise<Buffer> {
  if (file !== undefined && file !== '-') {
    return readFile(file).catch((cause: unknown) => {
      throw new HoldfastError('InvalidArgument', messageOf(cause), { cause });
    });
  }
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
