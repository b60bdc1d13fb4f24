import type { FastifyRequest } from 'fastify';
import { HoldfastError, toHoldfastError } from '../../../base/errors.ts';
import type { Instance, Volume } from '../../../volumes/index.ts';
import type { Agent } from '../../agent.ts';
import { bodyCheck } from '../../http-schema.ts';
import { clientOf } from './client.ts';
import { findById, type OfVolume } from './find-volume.ts';
import { present, requireInstanceId, toInstance, type Presented } from './presentation.ts';
import { VolumeAttachRequest, VolumeDetachRequest } from './schema.ts';
import { ATTACHED, attachmentState, isOf, wireVolume } from './wire-volume.ts';

const checkAttach = bodyCheck(VolumeAttachRequest);
const checkDetach = bodyCheck(VolumeDetachRequest);

/**
 * To the instance that asks; fine when it is so already. `force` takes the volume away from another.
 * The token is empty: the device is there when this answers, so the client needn't wait for one.
 */
export async function attach(
  agent: Agent,
  request: FastifyRequest<OfVolume>,
  presented: Presented,
): Promise<object> {
  const { force } = checkAttach(request.body);
  const instance = instanceOf(agent, request, presented);
  const { spec } = await findById(agent, presented, request.params.volume);
  const volume = await agent.volumes.attach(spec.id, instance, { force });
  const attachments = volume.status.attachments.filter((one) => isOf(one, instance.id));
  return { volume: wireVolume(volume, { attachments, state: ATTACHED }), attachToken: '' };
}

/** From the instance that asks; fine when it isn't attached to it. */
export async function detachOne(
  agent: Agent,
  request: FastifyRequest<OfVolume>,
  presented: Presented,
): Promise<object> {
  const { force } = checkDetach(request.body);
  const instance = instanceOf(agent, request, presented);
  const { spec } = await findById(agent, presented, request.params.volume);
  return detached(await agent.volumes.detach(spec.id, instance, { force }), instance);
}

/** All volumes of a service, by id, those that weren't attached to the asker as well. */
export async function detachService(
  agent: Agent,
  request: FastifyRequest,
  presented: Presented,
): Promise<object> {
  const { force } = checkDetach(request.body);
  const instance = instanceOf(agent, request, presented);
  const all = await agent.volumes.list();
  return detachAmong(agent, all, presented, { instance, force });
}

/** The same for every service, by service. Nothing is detached unless each knows who asks. */
export async function detachAll(agent: Agent, request: FastifyRequest): Promise<object> {
  const { force } = checkDetach(request.body);
  const asked = agent.volumes.services.map((service) => {
    const presented = present(service);
    return { presented, instance: instanceOf(agent, request, presented) };
  });
  const all = await agent.volumes.list();
  const byService: Record<string, object> = {};
  for (const { presented, instance } of asked) {
    const volumes = await detachAmong(agent, all, presented, { instance, force });
    byService[presented.service.name] = volumes;
  }
  return byService;
}

interface DetachOptions {
  readonly instance: Instance;
  readonly force: boolean | undefined;
}

/** One that can't be detached doesn't keep the others attached: it is reported when all were tried. */
async function detachAmong(
  agent: Agent,
  all: readonly Volume[],
  { service }: Presented,
  { instance, force }: DetachOptions,
): Promise<object> {
  const volumes = all.filter(({ spec }) => spec.service === service.name);
  const shown: Record<string, object> = {};
  const failures: HoldfastError[] = [];
  for (const volume of volumes) {
    try {
      // Each detach asks the kernel first; those of others needn't.
      const mine = volume.status.attachments.some((one) => isOf(one, instance.id));
      const after = mine ? await agent.volumes.detach(volume.spec.id, instance, { force }) : volume;
      shown[volume.spec.id] = detached(after, instance);
    } catch (thrown) {
      failures.push(toHoldfastError(thrown));
    }
  }
  const [first] = failures;
  if (first === undefined) return shown;
  throw new HoldfastError(
    first.code,
    `${failures.length} of ${volumes.length} volumes of service "${service.name}" could not be detached: ${first.message}`,
    { hint: first.hint, cause: first },
  );
}

/** After a detach the state is always told, and attachments that are left are others'. */
function detached(volume: Volume, instance: Instance): object {
  const { attachments } = volume.status;
  return wireVolume(volume, { attachments, state: attachmentState(attachments, instance.id) });
}

function instanceOf(agent: Agent, request: FastifyRequest, presented: Presented): Instance {
  return toInstance(agent, requireInstanceId(clientOf(request), presented));
}
