import { describe, expect, it, vi } from 'vitest';
import { WireletError } from '../src/error.js';
import { Listeners } from '../src/listeners.js';

interface Events {
  log: string;
  error: WireletError;
}

/** Listeners, and what was reported as `error`. */
function listeners() {
  const all = new Listeners<Events>();
  const errors: string[] = [];
  all.add('error', ({ message }) => errors.push(message));
  return { all, errors };
}

describe('listeners', () => {
  it('one that throws is reported, and the others are called all the same', () => {
    const { all, errors } = listeners();
    const heard: string[] = [];
    all.add('log', () => {
      throw new Error('at home');
    });
    all.add('log', (text) => heard.push(text));
    all.emit('log', 'a');
    all.emit('log', 'b');
    expect(heard).toEqual(['a', 'b']);
    expect(errors).toEqual(['at home', 'at home']);
  });

  it('one that rejects later is reported too', async () => {
    const { all, errors } = listeners();
    all.add('log', () => Promise.reject(new Error('later')));
    all.emit('log', 'a');
    await vi.waitFor(() => expect(errors).toEqual(['later']));
  });

  it('a listener for errors that throws ends nothing, and Node warns of it', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const all = new Listeners<Events>();
    all.add('error', () => {
      throw new Error('again');
    });
    all.emit('error', new WireletError('WIRELET_E_INTERNAL', 'first'));
    expect(warn.mock.calls.map(([warning]) => String(warning))).toEqual(['WireletError: again']);
    warn.mockRestore();
  });

  it('an error that nobody listens for is not silent', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    new Listeners<Events>().emit('error', new WireletError('WIRELET_E_OUTPUT', 'full'));
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it('who is taken out hears nothing more', () => {
    const { all } = listeners();
    const listener = vi.fn();
    all.add('log', listener);
    all.remove('log', listener);
    all.emit('log', 'a');
    expect(listener).not.toHaveBeenCalled();
  });
});
