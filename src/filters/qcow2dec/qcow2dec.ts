import { imageFilter } from '../../formats/image-filter.ts';

export default imageFilter('qcow2', { name: 'qcow2dec', forReading: true, more: true });
